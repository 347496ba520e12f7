//! Finds what can't be right in an expression, whatever the run: names and fields that aren't, and types that don't fit.
//!
//! What is known at run time alone (parameters, the engine's object, resources) has the type `Dyn`, which fits everything.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::{IdedExpr, Value as CelValue};

use crate::schema::{self, Record, Type, VARIABLES};
use crate::variables;

/// Names of CEL's own types, which are values.
const TYPES: [&str; 9] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];

/// The functions, with what each is called on or with, and what it gives. A method's first one is its target.
const FUNCTIONS: [(&str, Call, &[Kind], Type); 19] = [
    ("amount", Call::Function, &[Kind::Text], Type::Int),
    ("bool", Call::Function, &[Kind::Any], Type::Bool),
    ("bytes", Call::Function, &[Kind::Any], Type::Bytes),
    ("contains", Call::Method, &[Kind::Text, Kind::Text], Type::Bool),
    ("double", Call::Function, &[Kind::Any], Type::Double),
    ("dyn", Call::Function, &[Kind::Any], Type::Dyn),
    ("endsWith", Call::Method, &[Kind::Text, Kind::Text], Type::Bool),
    ("glob", Call::Function, &[Kind::Text, Kind::Text], Type::Bool),
    ("int", Call::Function, &[Kind::Any], Type::Int),
    ("matches", Call::Method, &[Kind::Text, Kind::Text], Type::Bool),
    ("matches", Call::Function, &[Kind::Text, Kind::Text], Type::Bool),
    ("max", Call::Function, &[Kind::Any, Kind::Any], Type::Dyn),
    ("min", Call::Function, &[Kind::Any, Kind::Any], Type::Dyn),
    ("size", Call::Function, &[Kind::Sized], Type::Int),
    ("size", Call::Method, &[Kind::Sized], Type::Int),
    ("startsWith", Call::Method, &[Kind::Text, Kind::Text], Type::Bool),
    ("string", Call::Function, &[Kind::Any], Type::String),
    ("type", Call::Function, &[Kind::Any], Type::Dyn),
    ("uint", Call::Function, &[Kind::Any], Type::Int),
];

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Function,
    Method,
}

/// What an argument must be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Any,
    Text,
    /// A text, a list or a map.
    Sized,
}

/// The type of an expression.
///
/// # Errors
/// One sentence: what is wrong, and what there is instead.
pub(crate) fn type_of(expression: &IdedExpr) -> Result<Type, String> {
    Checker { scope: Vec::new() }.of(expression)
}

struct Checker {
    /// The variables of macros, innermost last.
    scope: Vec<(String, Type)>,
}

impl Checker {
    fn of(&mut self, expression: &IdedExpr) -> Result<Type, String> {
        match &expression.expr {
            Expr::Unspecified => Err("a part of it is missing".to_owned()),
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Bytes(_) => Type::Bytes,
                LiteralValue::Double(_) => Type::Double,
                LiteralValue::Int(_) | LiteralValue::UInt(_) => Type::Int,
                LiteralValue::Null => Type::Null,
                LiteralValue::String(_) => Type::String,
            }),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let operand = self.of(&select.operand)?;
                let field = field(&operand, &select.field)?;
                Ok(if select.test { Type::Bool } else { field })
            }
            Expr::List(list) => {
                let mut of: Option<Type> = None;
                for element in &list.elements {
                    let element = self.of(element)?;
                    of = Some(of.map_or(element.clone(), |of| of.join(&element)));
                }
                Ok(Type::list(of.unwrap_or(Type::Dyn)))
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.of(&entry.key)?;
                        self.of(&entry.value)?;
                    }
                }
                Ok(Type::map(Type::Dyn))
            }
            Expr::Struct(made) => Err(format!("there is no type `{}` to make a value of", made.type_name)),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn variable(&self, name: &str) -> Result<Type, String> {
        if let Some((_, ty)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(ty.clone());
        }
        if TYPES.contains(&name) {
            return Ok(Type::Dyn);
        }
        schema::variable(name).ok_or_else(|| format!("there is no `{name}`; there are {}", VARIABLES.join(", ")))
    }

    fn call(&mut self, call: &CallExpr) -> Result<Type, String> {
        let mut arguments = Vec::new();
        for argument in call.target.iter().map(|target| &**target).chain(&call.args) {
            arguments.push(self.of(argument)?);
        }
        match (call.func_name.as_str(), arguments.as_slice()) {
            (operators::LOGICAL_AND, both) => bools("&&", both),
            (operators::LOGICAL_OR, both) => bools("||", both),
            (operators::LOGICAL_NOT, one) => bools("!", one),
            (operators::NOT_STRICTLY_FALSE, _) => Ok(Type::Bool),
            (operators::EQUALS, [left, right]) => compares("==", left, right, true),
            (operators::NOT_EQUALS, [left, right]) => compares("!=", left, right, true),
            (operators::LESS, [left, right]) => compares("<", left, right, false),
            (operators::LESS_EQUALS, [left, right]) => compares("<=", left, right, false),
            (operators::GREATER, [left, right]) => compares(">", left, right, false),
            (operators::GREATER_EQUALS, [left, right]) => compares(">=", left, right, false),
            (operators::ADD, [left, right]) => adds(left, right),
            (operators::SUBSTRACT, both) => numbers("-", both),
            (operators::MULTIPLY, both) => numbers("*", both),
            (operators::DIVIDE, both) => numbers("/", both),
            (operators::MODULO, both) => numbers("%", both),
            (operators::NEGATE, one) => numbers("-", one),
            (operators::INDEX, [of, _]) => element(of),
            (operators::CONDITIONAL, [condition, then, other]) => {
                bools("?", std::slice::from_ref(condition))?;
                Ok(then.clone().join(other))
            }
            (operators::IN, [_, within]) => match within {
                Type::Dyn | Type::List(_) | Type::Map(_) | Type::Record(_) => Ok(Type::Bool),
                other => Err(format!("`in` looks into a list or a map, and not into {other}")),
            },
            _ => function(call, &arguments),
        }
    }

    /// What the macros `all`, `exists`, `exists_one`, `map` and `filter` become.
    fn comprehension(&mut self, it: &ComprehensionExpr) -> Result<Type, String> {
        let one = match self.of(&it.iter_range)? {
            Type::Dyn => Type::Dyn,
            Type::List(of) => *of,
            // The names of its entries.
            Type::Map(_) | Type::Record(_) => Type::String,
            other => return Err(format!("{other} can't be gone through, only a list or a map")),
        };
        let before = self.scope.len();
        let start = match self.of(&it.accu_init)? {
            // An empty list, which will have elements of a type that isn't known yet.
            Type::List(_) => Type::Dyn,
            other => other,
        };
        self.scope.push((it.iter_var.clone(), one.clone()));
        self.scope.extend(it.iter_var2.iter().map(|name| (name.clone(), Type::Dyn)));
        self.scope.push((it.accu_var.clone(), start.clone()));
        let step = self.of(&it.loop_cond).and_then(|_| self.of(&it.loop_step));
        self.scope.truncate(before);
        let end = match (&start, step?) {
            // `filter` takes an element or leaves the list as it was.
            (Type::Dyn, Type::Dyn) if is_filter(it) => Type::list(one),
            (Type::Dyn, step) => step,
            _ => start,
        };
        self.scope.push((it.accu_var.clone(), end));
        let result = self.of(&it.result);
        self.scope.truncate(before);
        result
    }
}

/// Whether a step is `condition ? list + [element] : list`, with the element as it is.
fn is_filter(it: &ComprehensionExpr) -> bool {
    let Expr::Call(step) = &it.loop_step.expr else { return false };
    let Some(Expr::Call(add)) = step.args.get(1).map(|then| &then.expr) else { return false };
    let Some(Expr::List(added)) = add.args.get(1).map(|list| &list.expr) else { return false };
    let is_element = |one: &IdedExpr| matches!(&one.expr, Expr::Ident(name) if *name == it.iter_var);
    step.func_name == operators::CONDITIONAL && added.elements.iter().all(is_element)
}

fn field(of: &Type, name: &str) -> Result<Type, String> {
    match of {
        Type::Dyn => Ok(Type::Dyn),
        Type::Map(of) => Ok((**of).clone()),
        Type::Record(record) => record.field(name).ok_or_else(|| unknown_field(*record, name)),
        other => Err(format!("{other} has no fields, so no `{name}`")),
    }
}

fn unknown_field(record: Record, name: &str) -> String {
    let fields: Vec<&str> = record.fields().iter().map(|(name, _)| *name).collect();
    format!("{} has no field `{name}`; it has {}", record.title(), fields.join(", "))
}

fn element(of: &Type) -> Result<Type, String> {
    match of {
        Type::Dyn | Type::Record(_) => Ok(Type::Dyn),
        Type::List(of) | Type::Map(of) => Ok((**of).clone()),
        other => Err(format!("{other} has no elements")),
    }
}

fn bools(operator: &str, operands: &[Type]) -> Result<Type, String> {
    match operands.iter().find(|operand| !operand.may_be(&Type::Bool)) {
        Some(other) => Err(format!("`{operator}` takes a bool, and not {other}")),
        None => Ok(Type::Bool),
    }
}

fn compares(operator: &str, left: &Type, right: &Type, is_equality: bool) -> Result<Type, String> {
    let has_order = |ty: &Type| matches!(ty, Type::Dyn | Type::Bool | Type::String | Type::Bytes) || ty.is_number();
    let with_null = is_equality && (*left == Type::Null || *right == Type::Null);
    if with_null || left.may_be(right) && (is_equality || has_order(left) && has_order(right)) {
        return Ok(Type::Bool);
    }
    Err(format!("`{operator}` compares {left} with {right}"))
}

fn adds(left: &Type, right: &Type) -> Result<Type, String> {
    match (left, right) {
        (Type::Dyn, other) | (other, Type::Dyn) if !other.is_number() => Ok(other.clone()),
        (Type::Dyn, _) | (_, Type::Dyn) => Ok(Type::Dyn),
        (Type::String, Type::String) => Ok(Type::String),
        (Type::Bytes, Type::Bytes) => Ok(Type::Bytes),
        (Type::List(left), Type::List(right)) => Ok(Type::list((**left).clone().join(right))),
        (left, right) if left.is_number() && left == right => Ok(left.clone()),
        (left, right) => Err(format!("`+` takes two of a kind, and not {left} and {right}")),
    }
}

fn numbers(operator: &str, operands: &[Type]) -> Result<Type, String> {
    if let Some(other) = operands.iter().find(|ty| !ty.is_number() && **ty != Type::Dyn) {
        return Err(format!("`{operator}` takes numbers, and not {other}"));
    }
    match operands {
        [left, right] if *left != Type::Dyn && *right != Type::Dyn && left != right => Err(format!(
            "`{operator}` takes two of a kind, and not {left} and {right}; double(...) makes a double of an int"
        )),
        [one, ..] => Ok(one.clone()),
        [] => Ok(Type::Dyn),
    }
}

fn function(call: &CallExpr, arguments: &[Type]) -> Result<Type, String> {
    let name = call.func_name.as_str();
    let called = if call.target.is_some() { Call::Method } else { Call::Function };
    let Some((_, _, takes, gives)) = FUNCTIONS.iter().find(|(known, how, ..)| *known == name && *how == called) else {
        return Err(match FUNCTIONS.iter().find(|(known, ..)| *known == name) {
            Some((_, Call::Method, ..)) => format!("`{name}` is called on a value: value.{name}(...)"),
            Some(_) => format!("`{name}` isn't called on a value: {name}(...)"),
            None => {
                let mut names: Vec<&str> = FUNCTIONS.iter().map(|(name, ..)| *name).collect();
                names.dedup();
                format!("there is no function `{name}`; there are {}", names.join(", "))
            }
        });
    };
    if takes.len() != arguments.len() {
        let hidden = usize::from(called == Call::Method);
        let (takes, has) = (takes.len() - hidden, arguments.len().saturating_sub(hidden));
        return Err(format!("`{name}` takes {takes} argument{}, and has {has}", if takes == 1 { "" } else { "s" }));
    }
    for (kind, argument) in takes.iter().zip(arguments) {
        let (fits, wanted) = match kind {
            Kind::Any => (true, ""),
            Kind::Text => (argument.may_be(&Type::String), "a string"),
            Kind::Sized => (
                matches!(argument, Type::Dyn | Type::String | Type::Bytes | Type::List(_) | Type::Map(_)),
                "a string, a list or a map",
            ),
        };
        if !fits {
            return Err(format!("`{name}` takes {wanted}, and not {argument}"));
        }
    }
    if name == "matches" {
        pattern(call)?;
    }
    Ok(gives.clone())
}

/// A regular expression that is written out can be tried now.
fn pattern(call: &CallExpr) -> Result<(), String> {
    let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. }) = call.args.last() else {
        return Ok(());
    };
    let nothing = IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String("".into())) };
    let mut tried = call.clone();
    match &mut tried.target {
        Some(target) => **target = nothing,
        None => tried.args[0] = nothing,
    }
    let tried = IdedExpr { id: 0, expr: Expr::Call(tried) };
    match CelValue::resolve(&tried, &variables::context()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("\"{}\" is no regular expression", pattern.inner())),
    }
}
