//! `parameter-sets/NAME/parameter-set.json`: parameters of which presets are made.

use crate::fault::Findings;
use crate::fields::Fields;
use crate::json::Document;
use crate::param::{Param, read_params};
use crate::recipe::read_meta;

/// A parameter set as it is declared.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSet {
    /// The name of its folder, which is its id.
    pub id: String,
    /// What people see.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// The parameters that users may give, in the order of the form.
    pub params: Vec<Param>,
    /// The parameters that only administrators give.
    pub plugin_params: Vec<Param>,
    /// Whether values may be given in a recipe, without a preset; true where the file doesn't say.
    pub inline: bool,
}

impl ParameterSet {
    /// Whether presets have secrets in them.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        self.all_params().any(|param| param.kind.is_secret())
    }

    /// All parameters.
    pub fn all_params(&self) -> impl Iterator<Item = &Param> {
        self.params.iter().chain(&self.plugin_params)
    }
}

/// Reads a parameter set; `None` when a fault makes it unusable.
pub(crate) fn read_parameter_set(id: &str, document: &Document<'_>, findings: &mut Findings) -> Option<ParameterSet> {
    let errors = findings.errors();
    let mut fields = Fields::new(document, "$", "the parameter set", &document.root, findings)?;
    let (mut label, mut description) = (String::new(), String::new());
    if let Some(mut meta) = fields.object("meta", findings) {
        (label, description) = read_meta(&mut meta, findings);
        meta.finish(findings);
    }
    let params = read_params(&mut fields, "params", findings);
    let plugin_params = read_params(&mut fields, "pluginParams", findings);
    // The key without `default` is what an administrator sets; in a file it is the older spelling.
    let inline = [fields.flag("defaultDefinableInline", findings), fields.flag("definableInline", findings)];
    for key in ["defaultDefinableAtProjectLevel", "definableAtProjectLevel"] {
        let _ = fields.value(key);
    }
    fields.finish(findings);
    (findings.errors() == errors).then(|| ParameterSet {
        id: id.to_owned(),
        label,
        description,
        params,
        plugin_params,
        inline: !inline.contains(&Some(false)),
    })
}
