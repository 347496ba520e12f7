include!("../../../tests/tests/hostile.rs");
