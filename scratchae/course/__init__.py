"""A course: make assignments from the library, release them, and check and grade the students' work."""
