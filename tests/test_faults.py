"""A few of the trials of faults.py, of which `make test-faults` makes a hundred."""

import pytest

from faults import Trial, attempt, killed, lost, summary
from workflow_project import TINY


@pytest.mark.parametrize("kind, seed", [(killed, 2), (lost, 3)])
def test_a_plain_rerun_mends(finished_project, tmp_path, kind, seed):
    steps = TINY["train"]["steps"]
    trial = Trial(tmp_path / "trial", seed, finished_project, steps, duration=12.0)
    outcome = attempt(kind, trial, summary(finished_project.root))
    assert outcome.problem is None, f"{outcome.notes}: {outcome.problem}"
