//! Conditions of cards in CEL over the facts document: `host` is the host's facts as JSON, where a fact that is not known is
//! absent; an expression that needs an absent fact is unknown, never false.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cel::{Context, ExecutionError, Program, Value};
use serde_json::Value as Json;

use super::card::Card;
use super::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::origin::{Origin, Unknown};

/// A host's facts as CEL sees them.
pub struct FactsDocument {
    /// Copying the facts of a host into a context costs more than most expressions do: it is done once, and each
    /// evaluation has a scope of its own in it.
    root: Context<'static, 'static>,
}

impl FactsDocument {
    pub fn of(host: &Host) -> FactsDocument {
        let mut json = serde_json::to_value(host).unwrap_or(Json::Null);
        settle(&mut json);
        let mut root = Context::default();
        root.add_variable_from_value("host", cel::to_value(json).unwrap_or(Value::Null));
        FactsDocument { root }
    }

    fn context(&self) -> Context<'_, 'static> {
        self.root.new_inner_scope()
    }
}

/// Facts serialize as `{"Ok": ..}` or `{"Err": ..}`: the first become their value, the second go.
fn settle(json: &mut Json) {
    if let Json::Object(object) = json
        && object.len() == 1
        && let Some(value) = object.remove("Ok")
    {
        *json = value;
        return settle(json);
    }
    match json {
        Json::Object(object) => {
            object.retain(|_, value| {
                !matches!(value, Json::Object(inner) if inner.len() == 1 && inner.contains_key("Err"))
                    && !value.is_null()
            });
            object.values_mut().for_each(settle);
        }
        Json::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

/// Judges a card's conditions on one host.
pub fn judge(card: &Card, host: &Host, document: &FactsDocument, verdict: &mut Verdict) {
    for condition in &card.conditions {
        let mut context = document.context();
        let items = match &condition.each {
            None => vec![None],
            Some(list) => match evaluate(list, &context) {
                Ok(Value::List(items)) => items.iter().cloned().map(Some).collect(),
                Ok(_) => {
                    verdict.unknown(Unknown::new(&card.id, format!("`each: {list}` is no list")));
                    continue;
                }
                Err(unknown) => {
                    verdict.unknown(unknown);
                    continue;
                }
            },
        };
        for item in items {
            if let Some(item) = item {
                context.add_variable_from_value("it", item);
            }
            match condition.applies.as_ref().map(|applies| truth(applies, &context)) {
                Some(Ok(false)) => continue,
                Some(Err(unknown)) => {
                    verdict.unknown(unknown);
                    continue;
                }
                Some(Ok(true)) | None => {}
            }
            match truth(&condition.fail, &context) {
                Ok(false) => verdict.pass(),
                Err(unknown) => verdict.unknown(unknown),
                Ok(true) => {
                    let mut draft = Draft::new();
                    for (name, expression) in &condition.values {
                        if let Ok(value) = evaluate(expression, &context) {
                            draft = draft.value(name, text(&value));
                        }
                    }
                    draft.title.clone_from(&condition.title);
                    draft.subject = condition.subject.as_ref().and_then(|name| draft.values.get(name).cloned());
                    if let Some(origin) = condition.at.as_ref().and_then(|at| origin(at, &context)) {
                        let label = condition.label.as_ref();
                        let label = label.and_then(|label| super::template::fill(label, &draft.values));
                        draft = draft.at(&host.name, &origin, label.unwrap_or_default());
                    }
                    verdict.fail(draft);
                }
            }
        }
    }
}

/// Whether an expression over these values holds; errors count as no.
pub fn holds_for_values(expression: &str, values: &BTreeMap<String, String>) -> bool {
    let mut context = Context::default();
    context.add_variable_from_value("values", cel::to_value(values).unwrap_or(Value::Null));
    matches!(truth(expression, &context), Ok(true))
}

/// Whether a log rule's `unless` holds.
pub fn holds_for_log(expression: &str, captures: &BTreeMap<String, String>, document: &FactsDocument) -> bool {
    let mut context = document.context();
    context.add_variable_from_value("captures", cel::to_value(captures).unwrap_or(Value::Null));
    matches!(truth(expression, &context), Ok(true))
}

/// Compiles an expression, for the check of cards.
pub fn check(expression: &str) -> Result<(), String> {
    Program::compile(expression).map(|_| ()).map_err(|error| error.to_string())
}

fn truth(expression: &str, context: &Context<'_, '_>) -> Result<bool, Unknown> {
    match evaluate(expression, context)? {
        Value::Bool(truth) => Ok(truth),
        _ => Err(Unknown::new(expression, "is neither true nor false")),
    }
}

fn evaluate(expression: &str, context: &Context<'_, '_>) -> Result<Value, Unknown> {
    let program = compiled(expression).map_err(|error| Unknown::new(expression, error))?;
    program.execute(context).map_err(|error| match error {
        ExecutionError::NoSuchKey(key) => Unknown::new(key.as_str(), Unknown::NO_FACT),
        error => Unknown::new(expression, error.to_string()),
    })
}

/// Each expression is compiled once, however many hosts and items it judges.
fn compiled(expression: &str) -> Result<Arc<Program>, String> {
    static PROGRAMS: OnceLock<Mutex<HashMap<String, Arc<Program>>>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(Mutex::default);
    if let Some(known) = programs.lock().unwrap_or_else(PoisonError::into_inner).get(expression) {
        return Ok(known.clone());
    }
    let program = Arc::new(Program::compile(expression).map_err(|error| error.to_string())?);
    programs.lock().unwrap_or_else(PoisonError::into_inner).insert(expression.to_owned(), program.clone());
    Ok(program)
}

fn origin(expression: &str, context: &Context<'_, '_>) -> Option<Origin> {
    match evaluate(expression, context).ok()? {
        Value::String(path) => Some(Origin::file(path.as_str(), None)),
        value => serde_json::from_value(value.json().ok()?).ok(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::List(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.json().map(|json| json.to_string()).unwrap_or_default(),
    }
}
