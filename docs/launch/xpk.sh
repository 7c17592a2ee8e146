#!/bin/bash
# One run on a slice of sixteen TPU v5e of a cluster that `xpk cluster create` made.
# From anywhere, with an image (docs/launch/Dockerfile) and a bucket:
#
#   IMAGE=... CLUSTER=... BUCKET=... ZONE=... docs/launch/xpk.sh
#
# `xpk` starts all hosts anew when one was preempted, and the command continues. By
# itself it would not do so for 75, with which a command ends that is to be started
# again as it is.
set -euo pipefail

xpk workload create \
  --workload=thickets \
  --cluster="$CLUSTER" \
  --zone="$ZONE" \
  --tpu-type=v5litepod-16 \
  --num-slices=1 \
  --docker-image="$IMAGE" \
  --max-restarts=100 \
  --restart-on-exit-codes=75 \
  --termination-grace-period-seconds=60 \
  --command="exec python -m experiments.randopt \
    --config=configs/randopt.py:qwen2_5_7b-gsm8k \
    --config.compute.devices_per_member=4 \
    --workdir=gs://$BUCKET/gsm8k \
    --distributed \
    --grace_s=10"
