//! What wit-bindgen makes of the contracts in `wit/`: one module for what all worlds have, and one for what each has of its
//! own.
//!
//! The worlds are written again here as two halves, since a macro that wit-bindgen exports can be in a crate but once and
//! every world exports `metadata`. The linker puts the halves together: a guest invokes the export macro of `shared` and
//! that of its world, and its component is of the world that `wit/` describes.

/// Types and imports, which the worlds' modules take from here, so that a `Reason` is one type everywhere.
pub mod shared {
    wit_bindgen::generate!({
        inline: "
            package wharf:sdk;
            world shared {
                import wharf:plugin/types@0.1.0;
                import wharf:plugin/log@0.1.0;
                import wharf:plugin/settings@0.1.0;
                import wharf:plugin/clock@0.1.0;
                import wharf:plugin/random@0.1.0;
                import wharf:plugin/folder@0.1.0;
                import wharf:plugin/http@0.1.0;
                export wharf:plugin/metadata@0.1.0;
            }
        ",
        path: "../../wit",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        default_bindings_module: "wharf_plugin_sdk::bindings::shared",
    });
}

/// The export `permission-check`.
pub mod permission {
    wit_bindgen::generate!({
        inline: "
            package wharf:sdk;
            world permission {
                export wharf:plugin/permission-check@0.1.0;
            }
        ",
        path: "../../wit",
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        default_bindings_module: "wharf_plugin_sdk::bindings::permission",
        with: { "wharf:plugin/types@0.1.0": crate::bindings::shared::wharf::plugin::types },
    });
}

/// The export `policy-evaluation`.
pub mod policy {
    wit_bindgen::generate!({
        inline: "
            package wharf:sdk;
            world policy {
                export wharf:plugin/policy-evaluation@0.1.0;
            }
        ",
        path: "../../wit",
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        default_bindings_module: "wharf_plugin_sdk::bindings::policy",
        with: { "wharf:plugin/types@0.1.0": crate::bindings::shared::wharf::plugin::types },
    });
}

/// The export `recipe-adaptation`.
pub mod adapter {
    wit_bindgen::generate!({
        inline: "
            package wharf:sdk;
            world adapter {
                export wharf:plugin/recipe-adaptation@0.1.0;
            }
        ",
        path: "../../wit",
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        default_bindings_module: "wharf_plugin_sdk::bindings::adapter",
        with: { "wharf:plugin/types@0.1.0": crate::bindings::shared::wharf::plugin::types },
    });
}

/// The export `image-recipe-generation`.
pub mod image {
    wit_bindgen::generate!({
        inline: "
            package wharf:sdk;
            world image {
                export wharf:plugin/image-recipe-generation@0.1.0;
            }
        ",
        path: "../../wit",
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        default_bindings_module: "wharf_plugin_sdk::bindings::image",
        with: { "wharf:plugin/types@0.1.0": crate::bindings::shared::wharf::plugin::types },
    });
}

/// The export `registry-preparation`.
pub mod hook {
    wit_bindgen::generate!({
        inline: "
            package wharf:sdk;
            world hook {
                export wharf:plugin/registry-preparation@0.1.0;
            }
        ",
        path: "../../wit",
        generate_all,
        additional_derives: [PartialEq],
        pub_export_macro: true,
        default_bindings_module: "wharf_plugin_sdk::bindings::hook",
    });
}
