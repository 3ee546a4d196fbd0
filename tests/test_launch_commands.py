"""`bedside launch`: what starts a run on several machines, and a real start of it."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from assistant.cli import app
from assistant.launch_commands import Launch
from trainer import runs
from trainer.launch import ray, torchrun
from trainer.launch.launch import LaunchError
from trainer.sections import RunConfig

CLI = CliRunner()


@pytest.fixture
def run_file(tiny_run: RunConfig, tmp_path: Path) -> Path:
    """A run of two machines with a process each, of four steps."""
    run = tiny_run.model_copy(deep=True)
    run.hardware.machines, run.schedule.accumulation = 2, 2
    run.schedule.max_steps, run.schedule.checkpoint_every, run.evaluation.every = 4, 2, 2
    path = tmp_path / "many.yaml"
    path.write_text(yaml.safe_dump(run.model_dump(mode="json")))
    return path


def launched(run_file: Path, *options: str) -> Launch:
    done = CLI.invoke(app, ["launch", str(run_file), *options, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return Launch.model_validate_json(done.stdout)


def test_the_batch_script_asks_slurm_for_the_machines_and_starts_one_torchrun_on_each(run_file: Path, tmp_path: Path):
    gpus = ["--set", "hardware.device=cuda", "--set", "hardware.processes=4", "--set", "schedule.accumulation=8"]
    made = launched(run_file, "--on", "slurm", *gpus, "--set", "output.name=two words; rm")
    assert (made.machines, made.processes) == (2, 4)
    lines = made.script.splitlines()
    asked = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert {"--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=4", "--job-name='two words; rm'"} <= set(asked)
    start = lines[-1]
    assert start.startswith("srun --kill-on-bad-exit=1 ")
    assert '--nnodes=2 --nproc-per-node=4 "--rdzv-id=$SLURM_JOB_ID" --rdzv-backend=c10d' in start
    assert f'"--rdzv-endpoint=$head:{torchrun.PORT}"' in start and start.endswith(f"trainer.launch.rank {made.folder}")
    checked = subprocess.run(["bash", "-n"], input=made.script, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    assert runs.get(made.run).status.state == "queued", "it waits for its machines"


def test_torchrun_is_the_same_command_everywhere_and_says_where_they_meet(run_file: Path):
    open_ = launched(run_file, "--on", "torchrun")
    assert f"--rdzv-endpoint={torchrun.HOST}:{torchrun.PORT}" in open_.script and torchrun.HOST in open_.start
    named = launched(run_file, "--on", "torchrun", "--host", "node1")
    assert f"--rdzv-endpoint=node1:{torchrun.PORT}" in named.script and torchrun.HOST not in named.start
    refused = CLI.invoke(app, ["launch", str(run_file), "--on", "ray", "--host", "node1"])
    assert refused.exit_code != 0 and "--host is for torchrun" in str(refused.exception)


def test_one_machine_alone_says_what_starts_the_run(run_file: Path):
    refused = CLI.invoke(app, ["train", str(run_file)])
    assert refused.exit_code != 0
    assert "hardware.machines is 2, and this is one of them; `bedside launch RUNFILE" in str(refused.exception)


@pytest.mark.soak  # starts what a cluster starts: half a minute each
def test_the_batch_script_trains_where_slurms_commands_answer(run_file: Path, tmp_path: Path):
    made = launched(run_file, "--on", "slurm", "--set", "hardware.machines=1", "--set", "hardware.processes=2")
    commands = tmp_path / "bin"
    commands.mkdir()
    # What SLURM would do on the one machine of the job.
    (commands / "scontrol").write_text("#!/bin/bash\necho localhost\n")
    (commands / "srun").write_text('#!/bin/bash\nshift\nexec "$@"\n')
    for command in commands.iterdir():
        command.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "localhost",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(["bash"], input=made.script, text=True, capture_output=True, env=environment)
    run = runs.get(made.run)
    assert run.status.state == "done", done.stderr[-3000:]
    assert run.status.step == 4 and run.report() is not None


@pytest.mark.soak
def test_ray_starts_the_processes_of_two_machines(run_file: Path, monkeypatch: pytest.MonkeyPatch):
    import ray as cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = launched(run_file, "--on", "ray")
    assert made.script.splitlines()[-1].endswith(f"-m trainer.launch.ray {made.folder}")
    cluster.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        ray.train(Path(made.folder), cluster.get_runtime_context().gcs_address)
        run = runs.get(made.run)
        assert run.status.state == "done" and run.status.step == 4
        monkeypatch.setattr(ray, "STARTING_SECONDS", 2)
        crowded = launched(run_file, "--on", "ray", "--set", "hardware.processes=2", "--set", "schedule.accumulation=4")
        with pytest.raises(LaunchError, match="has not 2 x 2 free devices"):
            ray.train(Path(crowded.folder), cluster.get_runtime_context().gcs_address)
    finally:
        cluster.shutdown()
