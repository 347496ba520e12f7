#[path = "../../../tests/tests/hostile.rs"]
mod hostile;
