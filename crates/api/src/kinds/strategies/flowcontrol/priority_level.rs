//! PriorityLevelConfiguration: how much of the server a level gets.

use super::validate;
use crate::Cause;
use crate::kinds::strategies::fill::{fill, fill_zero, part, restore_metadata, with};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value;
use crate::value::Value;

/// PriorityLevelConfiguration: how much of the server a level gets.
pub struct PriorityLevelConfiguration;

impl Strategy for PriorityLevelConfiguration {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        with(spec, "limited", |limited| {
            fill(limited, "nominalConcurrencyShares", 30);
            fill(limited, "lendablePercent", 0);
            with(part(limited, "limitResponse"), "queuing", |queuing| {
                for (field, default) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
                    fill_zero(queuing, field, default);
                }
            });
        });
        with(spec, "exempt", |exempt| {
            fill(exempt, "nominalConcurrencyShares", 0);
            fill(exempt, "lendablePercent", 0);
        });
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (level, mut out) = (Place::root(new), Vec::new());
        if matches!(verb, Verb::UpdateSubresource(_)) {
            validate::conditions(&level, &mut out);
            return out;
        }
        let name = new.str_at(&["metadata", "name"]).unwrap_or_default();
        check(&level.field("spec"), name, &mut out);
        mandatory(&level.field("spec"), name, &mut out);
        out
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }
}

const QUEUES_MAX: i64 = 10_000_000;
/// How many bits of a request's hash there are to choose queues by.
const HASH_BITS: i64 = 60;

fn check(spec: &Place, name: &str, out: &mut Causes) {
    let (kind, limited, exempt) = (spec.field("type"), spec.field("limited"), spec.field("exempt"));
    if (name == "exempt") != (kind.text() == "Exempt") {
        out.push(kind.invalid_as(kind.text(), "must be 'Exempt' if and only if `name` is 'exempt'"));
    }
    match kind.text() {
        "Exempt" => {
            if limited.is_set() {
                out.push(limited.forbidden("must be nil if the type is not Limited"));
            }
            shares(&exempt, out);
        }
        "Limited" => {
            if exempt.is_set() {
                out.push(exempt.forbidden("must be nil if the type is Limited"));
            }
            if limited.is_set() {
                shares(&limited, out);
                let borrowing = limited.field("borrowingLimitPercent");
                if borrowing.int() < 0 {
                    out.push(borrowing.invalid("if specified, must be a non-negative integer"));
                }
                response(&limited.field("limitResponse"), out);
            } else {
                out.push(limited.required("must not be empty when type is Limited"));
            }
        }
        _ => kind.need_one_of(&["Exempt", "Limited"], out),
    }
}

fn shares(level: &Place, out: &mut Causes) {
    let (shares, lendable) = (level.field("nominalConcurrencyShares"), level.field("lendablePercent"));
    if shares.int() < 0 {
        out.push(shares.invalid("must be a non-negative integer"));
    }
    if lendable.is_set() {
        lendable.within(0, 100, out);
    }
}

fn response(response: &Place, out: &mut Causes) {
    let (kind, queuing) = (response.field("type"), response.field("queuing"));
    match kind.text() {
        "Reject" if queuing.is_set() => {
            out.push(queuing.forbidden("must be nil if limited.limitResponse.type is not Limited"));
        }
        "Queue" if queuing.is_set() => queues(&queuing, out),
        "Queue" => {
            out.push(queuing.required("must not be empty if limited.limitResponse.type is Limited"));
        }
        "Reject" => {}
        _ => kind.need_one_of(&["Queue", "Reject"], out),
    }
}

fn queues(queuing: &Place, out: &mut Causes) {
    let (queues, hand) = (queuing.field("queues"), queuing.field("handSize"));
    for number in [&queuing.field("queueLengthLimit"), &queues, &hand] {
        if number.int() <= 0 {
            out.push(number.invalid_as(number.int(), "must be positive"));
        }
    }
    if queues.int() > QUEUES_MAX {
        out.push(queues.invalid(&format!("must not be greater than {QUEUES_MAX}")));
    }
    let (deck, size) = (queues.int(), hand.int());
    let bits = ((deck as f64).log2() * size as f64).ceil() as i64;
    if size > deck {
        out.push(hand.invalid(&format!("should not be greater than queues ({deck})")));
    } else if size > 0 && bits > HASH_BITS {
        out.push(hand.invalid(&format!(
            "required entropy bits of deckSize {deck} and handSize {size} should not be greater than {HASH_BITS}"
        )));
    }
}

/// What is wrong with the levels without which the server would not work.
fn mandatory(spec: &Place, name: &str, out: &mut Causes) {
    let without = |spec: &Value| {
        let mut spec = spec.clone();
        spec.remove_at(&["exempt"]);
        spec
    };
    match name {
        "exempt" if without(spec.value) != value!({"type": "Exempt"}) => {
            let detail = "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value";
            out.push(spec.invalid(detail));
        }
        "catch-all"
            if *spec.value
                != value!({"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "lendablePercent": 0,
                "limitResponse": {"type": "Reject"}}}) =>
        {
            out.push(spec.invalid("spec of 'catch-all' must equal the fixed value"));
        }
        _ => {}
    }
}
