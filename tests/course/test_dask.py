"""Grading on a Dask cluster of two workers writes the same bytes as one local worker."""

import pytest

from scratchae.course.assignment import load_assignment
from scratchae.course.grading import cluster
from scratchae.course.grading.batch import grade_batch
from scratchae.course.grading.outputs import write_batch
from scratchae.course.sandbox import Limits
from scratchae.errors import ScratchaeError
from tests.helpers.grading import SECRET, everything, needs_sandbox
from tests.helpers.submissions import class_of, small_assignment

distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
pytestmark = [pytest.mark.slow, needs_sandbox]


@pytest.fixture(scope="module")
def address():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as workers:
        yield workers.scheduler_address


def grade(course, out, **options):
    batch = grade_batch(*course, out, SECRET, "bubblewrap", 1, **options)
    write_batch(batch, out)
    return batch


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    class_of(folder / "class", 12)
    return load_assignment(small_assignment(folder)), folder / "class"


def test_a_cluster_of_two_writes_the_same_bytes_as_one_worker(
    course, address, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "BATCH", 5)
    grade(course, tmp_path / "here")
    batch = grade(course, tmp_path / "there", dask=address)
    assert len(batch.results) == 12 and not batch.not_graded
    assert everything(tmp_path / "there") == everything(tmp_path / "here")


def test_nothing_is_graded_if_the_self_check_of_a_worker_fails(course, address, tmp_path):
    from scratchae.course.sandbox import InfrastructureError

    with pytest.raises(InfrastructureError):
        grade(course, tmp_path, dask=address, limits=Limits(memory=1024))


def test_without_a_scheduler_there_is_one_sentence(course, tmp_path):
    with pytest.raises(ScratchaeError, match="no Dask scheduler"):
        grade(course, tmp_path, dask="tcp://127.0.0.1:1")
