#!/usr/bin/env bash
# The lecture's hands-on (L3.19) in its six steps. Steps 1 to 4 are the run file; each line can be typed by itself.
#
#   bash examples/cases/hands-on.sh            # a GPU with 24 GB or more; a few hours
#   bash examples/cases/hands-on.sh --tiny     # a few steps on this machine's CPU, to see how it goes
set -euo pipefail
cases=$(cd "$(dirname "$0")" && pwd)

echo "== Step 1: load the model (model.name; fetched once, then kept)"
bedside doctor

echo; echo "== Step 2: configure LoRA (method.rank 8, method.alpha 16)"
grep -A2 "kind: lora" "$cases/hands-on.yaml"

echo; echo "== Step 3: prepare the data (data.sources; rows, splits and tokens are made by the run)"
bedside data sets | grep -i medquad

echo; echo "== Step 4: training arguments (schedule.epochs 3, schedule.learning_rate 3e-4)"
grep -E "epochs|learning_rate" "$cases/hands-on.yaml"

echo; echo "== Step 5: train. Watch it: bedside app; or, in its run folder, tensorboard --logdir . ; nvidia-smi -l 1"
bedside train hands-on "$@"

echo; echo "== Step 6: merge the adapter into the weights, and save"
bedside export latest

echo; echo "Then ask it: bedside ask latest \"What are the symptoms of iron deficiency anaemia?\""
echo "W&B's curves were kept offline; wandb sync sends them, should you want to."
