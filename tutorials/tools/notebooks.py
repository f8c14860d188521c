"""Write the student notebooks: python -m tutorials.tools.notebooks"""

import nbformat

from scratchae.files import write_text
from tutorials.tools.chapters import FOLDER, chapters, student


def contents() -> dict[str, str]:
    """Return the text of every notebook by its file name."""
    return {
        f"{path.stem}.ipynb": nbformat.writes(student(path.read_text("utf-8"), path.stem)) + "\n"
        for path in chapters()
    }


def main() -> None:
    for name, text in contents().items():
        write_text(FOLDER / "notebooks" / name, text)
        print(f"tutorials/notebooks/{name}")


if __name__ == "__main__":
    main()
