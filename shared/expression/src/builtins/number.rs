//! Builtins on numbers.

use super::Outcome;
use crate::{
    eval::{Budget, Fault},
    limits::VALUE_NESTING_MAX,
    value::Value,
};

pub(super) fn max<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    extreme(arguments, |found, next| next > found, 0, budget)
}

pub(super) fn min<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    extreme(arguments, |found, next| next < found, 0, budget)
}

/// The largest or smallest number among the arguments and in their lists. A single argument of
/// another type is returned unchanged.
fn extreme<'a>(
    arguments: &[Value<'a>],
    wins: fn(f64, f64) -> bool,
    level: usize,
    budget: &mut Budget,
) -> Outcome<'a> {
    check_level(level)?;
    let mut best: Option<(f64, Value<'a>)> = None;
    let mut offer = |value: Value<'a>, number: f64| {
        if best.as_ref().is_none_or(|(found, _)| wins(*found, number)) {
            best = Some((number, value));
        }
    };
    for argument in arguments {
        budget.work(1)?;
        match (argument, float_of(argument)) {
            (_, Some(number)) => offer(argument.clone(), number),
            (Value::List(list), None) => {
                for item in list.iter() {
                    let found = extreme(&[item], wins, level + 1, budget)?;
                    let number = float_of(&found).ok_or_else(|| no_number(&found))?;
                    offer(found, number);
                }
            }
            _ if arguments.len() == 1 => return Ok(argument.clone()),
            _ => return Err(no_number(argument)),
        }
    }
    Ok(best.map_or(Value::Nil, |(_, value)| value))
}

pub(super) fn mean<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let mut numbers = Vec::new();
    gather(arguments, &mut numbers, 0, budget)?;
    if numbers.is_empty() {
        return Ok(Value::Float(0.0));
    }
    Ok(Value::Float(numbers.iter().sum::<f64>() / numbers.len() as f64))
}

pub(super) fn median<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let mut numbers = Vec::new();
    gather(arguments, &mut numbers, 0, budget)?;
    budget.work(numbers.len() as u64 * 8)?;
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    Ok(Value::Float(match numbers.len() {
        0 => 0.0,
        length if length % 2 == 1 => numbers[middle],
        _ => (numbers[middle - 1] + numbers[middle]) / 2.0,
    }))
}

/// Collects the numbers among the arguments and in their lists.
fn gather(
    arguments: &[Value<'_>],
    numbers: &mut Vec<f64>,
    level: usize,
    budget: &mut Budget,
) -> Result<(), Fault> {
    check_level(level)?;
    for argument in arguments {
        budget.work(1)?;
        match (argument, float_of(argument)) {
            (_, Some(number)) => numbers.push(number),
            (Value::List(list), None) => {
                for item in list.iter() {
                    gather(&[item], numbers, level + 1, budget)?;
                }
            }
            _ => return Err(no_number(argument)),
        }
    }
    Ok(())
}

fn check_level(level: usize) -> Result<(), Fault> {
    if level > 2 * VALUE_NESTING_MAX {
        return Err(Fault::limit("the list is nested too deeply"));
    }
    Ok(())
}

fn no_number(value: &Value<'_>) -> Fault {
    Fault::of_type(format!("needs numbers, not {}", value.type_name()))
}

fn float_of(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    }
}

pub(super) fn abs<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    match &arguments[0] {
        Value::Int(n) => Ok(Value::Int(n.wrapping_abs())),
        // As in Go, -0 stays.
        Value::Float(x) => Ok(Value::Float(if *x < 0.0 { -x } else { *x })),
        other => Err(no_number(other)),
    }
}

pub(super) fn ceil<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    rounded(&arguments[0], f64::ceil)
}

pub(super) fn floor<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    rounded(&arguments[0], f64::floor)
}

/// Rounds to the nearest integer, halves away from zero.
pub(super) fn round<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    rounded(&arguments[0], f64::round)
}

fn rounded<'a>(value: &Value<'a>, how: fn(f64) -> f64) -> Outcome<'a> {
    float_of(value).map(|x| Value::Float(how(x))).ok_or_else(|| no_number(value))
}
