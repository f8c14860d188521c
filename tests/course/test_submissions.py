"""Submissions are found in every layout, and no student is lost."""

import zipfile

import pytest

from scratchae.course.grading.outputs import folder_of
from scratchae.course.grading.submissions import Submission, find_submissions
from scratchae.errors import ScratchaeError


def submitted(place, wanted=("linear.py",)):
    return {w.student: w.load() for w in find_submissions(place, wanted)}


def test_folders_and_zips_of_students_are_found(tmp_path):
    (tmp_path / "ada" / "deep").mkdir(parents=True)
    (tmp_path / "ada" / "deep" / "linear.py").write_text("a")
    (tmp_path / "ada" / "conftest.py").write_text("no")
    with zipfile.ZipFile(tmp_path / "bob.zip", "w") as file:
        file.writestr("hw1/linear.py", "b")
        file.writestr("__MACOSX/hw1/._linear.py", "litter")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    found = submitted(tmp_path)
    assert {name: s.files for name, s in found.items()} == {
        "ada": {"linear.py": b"a"},
        "bob": {"linear.py": b"b"},
        "empty": {},
    }


def test_a_student_who_hands_in_another_archive_is_told_and_not_lost(tmp_path):
    with zipfile.ZipFile(tmp_path / "ada.ZIP", "w") as file:
        file.writestr("linear.py", "a")
    (tmp_path / "bob.rar").write_bytes(b"Rar!")
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / "hw1.tar.gz").write_bytes(b"")
    found = submitted(tmp_path)
    assert found["ada"].files == {"linear.py": b"a"} and not found["ada"].problems
    for student in ("bob", "eve"):
        assert (
            not found[student].files and "hand in the files, or a zip" in found[student].problems[0]
        )


def test_one_students_own_folder_is_one_submission(tmp_path):
    (tmp_path / "linear.py").write_text("a")
    assert submitted(tmp_path) == {tmp_path.name: Submission(tmp_path.name, {"linear.py": b"a"})}


def test_a_gradescope_export_is_read_by_its_metadata(tmp_path):
    for number, text in ((11, "a"), (22, "b")):
        folder = tmp_path / f"submission_{number}"
        folder.mkdir()
        (folder / "linear.py").write_text(text)
    (tmp_path / "submission_metadata.yml").write_text(
        "---\nsubmission_11:\n  :submitters:\n  - :name: Ada L\n    :sid: '7'\n    :email: ada@x.org\n"
        "  :created_at: 2026-11-01\nsubmission_22:\n  :submitters:\n  - :name: Bob\n"
    )
    found = submitted(tmp_path)
    assert sorted(found) == ["Bob (submission_22)", "ada@x.org (submission_11)"]


def test_a_canvas_zip_groups_by_student_and_takes_the_newest(tmp_path):
    with zipfile.ZipFile(tmp_path / "submissions.zip", "w") as file:
        file.writestr("lovelaceada_101_900_linear.py", "old")
        file.writestr("lovelaceada_101_901_linear-2.py", "newest")
        file.writestr("lovelaceada_101_902_linear-1.py", "newer")
        file.writestr("bob_LATE_102_903_linear.py", "b")
    found = submitted(tmp_path / "submissions.zip")
    assert {name: s.files["linear.py"] for name, s in found.items()} == {
        "lovelaceada_101": b"newest",
        "bob_102": b"b",
    }


def test_a_moodle_zip_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "moodle.zip", "w") as file:
        file.writestr("Ada Lovelace_55_assignsubmission_file/linear.py", "a")
        file.writestr("Bob B_56_assignsubmission_file_/linear.py", "b")
    assert sorted(submitted(tmp_path / "moodle.zip")) == ["Ada Lovelace_55", "Bob B_56"]


def test_a_moodle_zip_without_folders_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "moodle.zip", "w") as file:
        file.writestr("Ada Lovelace_55_assignsubmission_file_linear.py", "a")
        file.writestr("Ada Lovelace_55_assignsubmission_file_my_notes.txt", "n")
        file.writestr("Bob B_56_assignsubmission_file_hw1.zip", "no zip")
    found = submitted(tmp_path / "moodle.zip")
    assert found["Ada Lovelace_55"].files == {"linear.py": b"a"}
    assert found["Bob B_56"].problems == ("refused: hw1.zip is not a readable zip file",)


def test_a_folder_in_a_zip_is_looked_into(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("course/ada/linear.py", "a")
        file.writestr("course/bob/linear.py", "b")
    assert sorted(submitted(tmp_path / "all.zip")) == ["ada", "bob"]


def test_nothing_to_grade_is_said_in_a_sentence(tmp_path):
    with pytest.raises(ScratchaeError, match="there are no submissions"):
        find_submissions(tmp_path, ("linear.py",))
    with pytest.raises(ScratchaeError, match="there is no"):
        find_submissions(tmp_path / "nowhere", ("linear.py",))


def test_names_become_folders_of_their_own():
    names = ["ada", "../ada", "..", "", "a/b", "a_b", "<b>", "x" * 300, "ada\n", ".ada"]
    folders = [folder_of(name) for name in names]
    assert len(set(folders)) == len(names)
    assert not any("/" in folder or folder.startswith(".") for folder in folders)
