extern crate self as wharf_bundle;
pub struct ShippedComponent { pub folder: &'static str, pub name: &'static str, pub wasm: &'static [u8], pub toml: Option<&'static str> }
pub fn components() -> &'static [ShippedComponent] { &[] }
#[path = "../../wharf/src/settings/mod.rs"]
pub mod settings;
#[path = "../../wharf/src/init.rs"]
pub mod init;
#[path = "../../wharf/src/catalogue.rs"]
pub mod catalogue;
