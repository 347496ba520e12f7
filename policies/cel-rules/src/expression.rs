//! Expressions and sentences with expressions in them: read, checked, evaluated.

use cel::objects::Key;
use cel::parser::PrattParser;
use cel::{IdedExpr, Value as CelValue};
use serde_json::{Map, Value};

use crate::checker;
use crate::schema::Type;
use crate::variables::Variables;

/// How much of an error of the interpreter is shown: it may repeat values of the plan.
const SHOWN: usize = 200;
/// How many nodes an expression may have.
const NODES: usize = 2_000;

/// An expression.
pub(crate) struct Expression(IdedExpr);

impl Expression {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parsed = PrattParser::new().max_expression_node_count(NODES).parse(text);
        parsed.map(Self).map_err(|errors| {
            let said = errors.errors.iter().map(|error| error.msg.trim()).collect::<Vec<_>>().join("; ");
            format!("it can't be read as CEL: {}", cut(&said))
        })
    }

    /// Reads it and looks for what can't be right, whatever the run.
    pub(crate) fn check(text: &str, needed: &Type) -> Result<(), String> {
        let gives = checker::type_of(&Self::parse(text)?.0)?;
        if gives.may_be(needed) { Ok(()) } else { Err(format!("it gives {gives}, and {needed} is needed")) }
    }

    fn value(&self, variables: &Variables) -> Result<CelValue, String> {
        CelValue::resolve(&self.0, &variables.context).map_err(|error| cut(&error.to_string()))
    }

    pub(crate) fn truth(&self, variables: &Variables) -> Result<bool, String> {
        match self.value(variables)? {
            CelValue::Bool(truth) => Ok(truth),
            other => Err(format!("it gives a {}, and a bool is needed", other.type_of())),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "limits beyond 2^53 are no limits")]
    pub(crate) fn number(&self, variables: &Variables) -> Result<f64, String> {
        match self.value(variables)? {
            CelValue::Int(number) => Ok(number as f64),
            CelValue::UInt(number) => Ok(number as f64),
            CelValue::Float(number) => Ok(number),
            other => Err(format!("it gives a {}, and a number is needed", other.type_of())),
        }
    }

    pub(crate) fn json(&self, variables: &Variables) -> Result<Value, String> {
        json(&self.value(variables)?)
    }
}

fn json(value: &CelValue) -> Result<Value, String> {
    Ok(match value {
        CelValue::Null => Value::Null,
        CelValue::Bool(truth) => (*truth).into(),
        CelValue::Int(number) => (*number).into(),
        CelValue::UInt(number) => (*number).into(),
        CelValue::Float(number) => (*number).into(),
        CelValue::String(text) => text.as_str().into(),
        CelValue::List(values) => Value::Array(values.iter().map(json).collect::<Result<_, _>>()?),
        CelValue::Map(map) => {
            let mut object = Map::new();
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else { return Err("it gives a map whose keys aren't texts".to_owned()) };
                object.insert(key.to_string(), json(value)?);
            }
            Value::Object(object)
        }
        other => return Err(format!("it gives a {}, which no field takes", other.type_of())),
    })
}

/// A sentence in which `${...}` are expressions.
pub(crate) struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Expression(Expression),
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        for (is_expression, piece) in split(text)? {
            pieces.push(if is_expression {
                Piece::Expression(Expression::parse(piece)?)
            } else {
                Piece::Text(piece.to_owned())
            });
        }
        Ok(Self(pieces))
    }

    pub(crate) fn check(text: &str) -> Result<(), String> {
        split(text)?.into_iter().filter(|(is_expression, _)| *is_expression).try_for_each(|(_, expression)| {
            Expression::check(expression, &Type::OneOf(&[Type::String, Type::Int, Type::Bool]))
        })
    }

    pub(crate) fn text(&self, variables: &Variables) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Expression(expression) => match expression.json(variables)? {
                    Value::String(value) => text.push_str(&value),
                    value => text.push_str(&value.to_string()),
                },
            }
        }
        Ok(text)
    }
}

/// The pieces of a template, and whether each is an expression.
fn split(text: &str) -> Result<Vec<(bool, &str)>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((expression, after)) = after.split_once('}') else {
            return Err(format!("\"{}\" opens a ${{ and doesn't close it", cut(text)));
        };
        pieces.push((false, before));
        pieces.push((true, expression));
        rest = after;
    }
    pieces.push((false, rest));
    Ok(pieces)
}

fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    if text.chars().count() > SHOWN { line + "…" } else { line }
}
