//! What `bindgen!` makes of `wit/`.
//!
//! One world that includes them all, so that their shared types are the same Rust types. It is never instantiated as a
//! whole: each component is called through the indices of the interfaces that its own world exports.

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package wharf:host;

        world everything {
            include wharf:plugin/permission@0.1.0;
            include wharf:plugin/policy@0.1.0;
            include wharf:plugin/image-recipe@0.1.0;
            include wharf:plugin/recipe-adapter@0.1.0;
            include wharf:plugin/registry-hook@0.1.0;
        }
    ",
    world: "wharf:host/everything",
    imports: {
        "wharf:plugin/folder": async,
        "wharf:plugin/http": async,
        "wharf:plugin/random": trappable,
    },
    exports: { default: async },
});

pub(crate) use exports::wharf::plugin::{
    image_recipe_generation, metadata, permission_check, policy_evaluation, recipe_adaptation, registry_preparation,
};
pub(crate) use wharf::plugin::{clock, folder, http, log, random, settings, types};
