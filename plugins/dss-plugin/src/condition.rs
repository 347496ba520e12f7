//! Visibility conditions: the part of JavaScript's expressions that plugins use, over `model`, the parameters' values.

mod evaluate;
mod parse;

use serde_json::{Map, Value as Json};

use parse::Expression;

/// When a parameter is visible.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// As it is written.
    pub text: String,
    /// What is understood of it; otherwise, why it isn't.
    understood: Result<Expression, String>,
}

impl Condition {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), understood: parse::parse(text) }
    }

    /// Why the condition isn't understood, when it isn't.
    #[must_use]
    pub fn not_understood(&self) -> Option<&str> {
        self.understood.as_ref().err().map(String::as_str)
    }

    /// Whether the condition holds for these values. One that isn't understood always does.
    ///
    /// As in the forms of DSS, what isn't there is `undefined` and makes no expression fail.
    #[must_use]
    pub fn holds(&self, model: &Map<String, Json>) -> bool {
        self.understood.as_ref().map_or(true, |expression| evaluate::is_true(expression, model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(text: &str, model: Json) -> bool {
        let condition = Condition::new(text);
        assert_eq!(condition.not_understood(), None, "{text}");
        let Json::Object(model) = model else { panic!("no model") };
        condition.holds(&model)
    }

    #[test]
    fn conditions_hold_as_in_javascript() {
        let model = json!({"mode": "by_hand", "n": 3, "on": true, "off": false, "cols": ["a", "b"], "empty": [],
            "text": "", "nothing": null, "digits": "3", "deep": {"er": {"still": 1}}});
        for (text, expected) in [
            ("model.mode == 'by_hand'", true),
            ("model.mode===\"by_hand\"", true),
            ("model.mode != 'by_hand'", false),
            ("model.mode !== 'x' && model.on", true),
            ("model.off || model.n >= 3", true),
            ("!(model.off || model.n > 3)", true),
            ("!!model.text", false),
            ("model.cols.length > 1", true),
            ("model.absent.length > 0", false),
            ("model.absent", false),
            ("model.absent == null && model.nothing == undefined", true),
            ("model.absent === null", false),
            ("model.empty", true),
            ("model.digits == 3", true),
            ("model.digits === 3", false),
            ("model.n == '3'", true),
            ("['a', 'by_hand',].includes(model.mode)", true),
            ("(['a', 'b'].includes(model.mode))", false),
            ("['a','by_hand'].indexOf(model.mode) >= 0", true),
            ("model.cols.indexOf('c') == -1", true),
            ("model.mode.indexOf('hand') > 0", true),
            ("model.mode.endsWith('_hand') && model.mode.startsWith('by')", true),
            ("model['mode'] == 'by_hand' && model.cols[1] == 'b'", true),
            ("model.deep.er.still == 1", true),
            ("model.absent.er.still == 1", false),
            ("model.on == true && true != false", true),
            ("model.on ? model.off : model.on", false),
            ("'cpu' == 'gpu'", false),
            ("false && model.on", false),
            ("False", false),
            ("True", true),
            ("model.n < 10 && model.n <= 3 && 'a' < 'b'", true),
            ("model.n == 3.0 || .5 > 1e3", true),
            ("model.mode.toLowerCase() == 'BY_HAND'.toLowerCase()", true),
            ("  model . on  ", true),
            ("model.mode == 'it\\'s'", false),
            ("model.text.length == 0", true),
            ("'1' == 1 && 'x' != 1 && true == 1", true),
            ("model.cols == 'a,b'", false),
        ] {
            assert_eq!(holds(text, model.clone()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_holds_and_says_why() {
        for (text, why) in [
            ("", "there is nothing in it"),
            ("model.a ==", "it ends too early"),
            ("model.a = 1", "\"=\" isn't known, at character 9"),
            ("model.a + 1 > 2", "\"+\" isn't known, at character 9"),
            ("foo(model.a)", "\"foo\" isn't known, at character 1"),
            ("model.a.map(x)", "the function \"map\" isn't known, at character 9"),
            ("(model.a", "it ends too early"),
            ("model.a)", "\")\" isn't expected, at character 8"),
            ("'abc", "a quote isn't closed, at character 1"),
            ("model.a == 'é' é", "\"é\" isn't known, at character 16"),
        ] {
            let condition = Condition::new(text);
            assert_eq!(condition.not_understood(), Some(why), "{text}");
            assert!(condition.holds(&Map::new()));
        }
    }

    #[test]
    fn hostile_conditions_are_refused() {
        for text in ["(".repeat(100_000), "!".repeat(3000), "[".repeat(3000), "a?".repeat(2000), "'".repeat(1 << 20)] {
            assert!(Condition::new(&text).not_understood().is_some());
        }
        for (part, end) in [("model.a == ", "1"), ("model.a && ", "1"), ("1 ? 2 : ", "3"), ("model.a.b.c || ", "x")] {
            let _ = Condition::new(&format!("{}{end}", part.repeat(300)));
        }
    }
}
