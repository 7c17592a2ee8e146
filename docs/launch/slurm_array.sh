#!/bin/bash
# An array of independent runs with Slurm, each on GPUs of one node, one for each
# seed. Submit it from the root of the repository, where .venv is:
#
#   sbatch docs/launch/slurm_array.sh
#   sbatch --array=0-31 docs/launch/slurm_array.sh --config.population.size=256
#   RESULTS=/scratch/me sbatch docs/launch/slurm_array.sh
#
# Flags behind the script's name go to the command. Runs are preempted, requeued
# and continued without loss: what was scored is in --workdir, which must lie on a
# disk that all nodes share.
#SBATCH --job-name=thickets
#SBATCH --array=0-3
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --mem=64G
#SBATCH --time=04:00:00
# Two minutes before the time is up, the command hears SIGTERM and ends by itself.
# Without "B:" it is told, and this script is not, which outlives it.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=thickets-%A_%a.log
set -euo pipefail

unfinished=75 # The exit status of a command that is to be started again as it is.
python=${PYTHON:-.venv/bin/python}

status=0
srun "$python" -m experiments.randopt \
  --config=configs/randopt.py:qwen2_5_3b-gsm8k-small \
  --config.seed="$SLURM_ARRAY_TASK_ID" \
  --workdir="${RESULTS:-runs}/gsm8k-$SLURM_ARRAY_TASK_ID" \
  --grace_s=90 \
  "$@" || status=$?

if [ "$status" = "$unfinished" ]; then
  # Ends this script; the run starts again. By the number of its job, the last run
  # of an array would take all others with it.
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$status"
