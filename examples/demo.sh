#!/usr/bin/env bash
# The main job without a browser: plan, train, compare. Each line is a command that you can type yourself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

echo "== Plan"
bedside plan --say "A test interpretation assistant with the starter data, on this machine's CPU" --out "$folder/run.yaml"

echo; echo "== Train (about five minutes on two cores)"
bedside train "$folder/run.yaml"

echo; echo "== Compare"
for question in \
  "Phosphate 1.4 mg/dL (reference 2.5-4.5): low, normal or high?" \
  "Take out drug, dose, route and frequency: Please give rifaximin 200 mg PO TID." \
  "A 58-year-old has had crushing chest pain for 40 minutes and is sweating. What should be done?"; do
  bedside ask latest "$question"
  echo
done
