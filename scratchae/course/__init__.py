"""A course: assignments made from the library. They are released, checked and graded."""
