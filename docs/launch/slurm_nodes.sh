#!/bin/bash
# One run over several nodes with Slurm, one process on each with all its GPUs.
# Submit it from the root of the repository, where .venv is:
#
#   sbatch docs/launch/slurm_nodes.sh
#   sbatch --nodes=8 docs/launch/slurm_nodes.sh --config.population.size=5000
#   RESULTS=/scratch/me sbatch docs/launch/slurm_nodes.sh
#
# Flags behind the script's name go to the command. The processes find each other
# through Slurm. --workdir must lie on a disk that all nodes share.
#SBATCH --job-name=thickets
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=8
#SBATCH --mem=0
#SBATCH --time=08:00:00
# Two minutes before the time is up, every process hears SIGTERM and ends by itself.
# Without "B:" they are told, and this script is not, which outlives them.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=thickets-%j.log
set -euo pipefail

unfinished=75 # The exit status of a command that is to be started again as it is.
python=${PYTHON:-.venv/bin/python}

# Under Slurm JAX takes one GPU for each process, unless it is told which.
gpus=${SLURM_GPUS_ON_NODE:-1}
JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((gpus - 1)))
export JAX_LOCAL_DEVICE_IDS
# JAX's processes talk to each other directly, and to a proxy not at all.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY

status=0
# The first process that fails ends the others, after two minutes at the latest.
srun --kill-on-bad-exit=0 --wait=120 "$python" -m experiments.randopt \
  --config=configs/randopt.py:qwen2_5_7b-gsm8k \
  --workdir="${RESULTS:-runs}/gsm8k" \
  --distributed \
  --grace_s=90 \
  "$@" || status=$?

if [ "$status" = "$unfinished" ]; then
  scontrol requeue "$SLURM_JOB_ID" # Ends this script; the job starts again.
fi
exit "$status"
