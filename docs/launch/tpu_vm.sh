#!/bin/bash
# One run on a slice of sixteen TPU v5e that this script asks for, waits for, sets up
# and uses, with gcloud alone. From the root of the repository:
#
#   ZONE=us-west4-a BUCKET=... docs/launch/tpu_vm.sh
#
# After a preemption delete what is left (the last line prints how) and call it again:
# it continues from what is in the bucket. If only this terminal was lost, the same
# call goes on with the slice that is there.
set -euo pipefail

name=${NAME:-thickets}
slice=${SLICE:-v5litepod-16}
runtime=${RUNTIME:-v2-alpha-tpuv5-lite}

describe() {
  gcloud compute tpus queued-resources describe "$name" --zone="$ZONE" \
    --format="value(state.state)"
}
on_all_hosts() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$ZONE" --worker=all --command="$1"
}

if ! describe >/dev/null 2>&1; then
  gcloud compute tpus queued-resources create "$name" --node-id="$name" \
    --zone="$ZONE" --accelerator-type="$slice" --runtime-version="$runtime" --spot
fi
until [ "$(describe)" = ACTIVE ]; do
  case "$(describe)" in
    FAILED | SUSPENDED | SUSPENDING | DELETING)
      echo "error: the slice must become ACTIVE, got $(describe)." >&2
      echo "gcloud compute tpus queued-resources delete $name --zone=$ZONE --force" >&2
      exit 1
      ;;
  esac
  sleep 20
done

# Only what is committed travels.
git archive --format=tar.gz --output=/tmp/thickets.tar.gz HEAD
gcloud compute tpus tpu-vm scp /tmp/thickets.tar.gz "$name:" \
  --zone="$ZONE" --worker=all
# These machines' own Python is older than 3.11.
on_all_hosts "mkdir -p thickets && tar -xzf thickets.tar.gz -C thickets &&
  cd thickets && python3 -m pip install --quiet --user uv &&
  python3 -m uv venv --quiet --allow-existing --python 3.12 .venv &&
  python3 -m uv pip install --quiet --python .venv --editable '.[tpu,tasks,gcs]'"

on_all_hosts "cd thickets && exec .venv/bin/python -m experiments.randopt \
  --config=configs/randopt.py:qwen2_5_7b-gsm8k \
  --config.compute.devices_per_member=4 \
  --workdir=gs://$BUCKET/gsm8k \
  --distributed"

echo "gcloud compute tpus queued-resources delete $name --zone=$ZONE --force"
