//! Whole-system tests of autopipe: they see it as a program that trains does. Nothing is here but
//! the tests themselves, in `tests/it`.
