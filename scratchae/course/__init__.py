"""A course: assignments that are derived from the library, released, checked and graded."""
