//! Asking a plugin about a batch so that one bad item spoils only itself.
//!
//! A batch that fails is halved until the items that make it fail stand alone; the others are answered by the halves.
//! Only calls that decided something are kept as evidence: those that answered, and those that failed for one item.

use std::collections::BTreeMap;

use altyn_domain::id::{BindingId, CallId, RunId};
use altyn_runtime::{Call, CallFailure, CallRecord, FaultKind, Runtime};
use chrono::{DateTime, Utc};

use crate::{
    bindings::Bound,
    canary::outcomes::Outcomes,
    error::{Result, ServiceError},
    evidence::{self, Recorded},
    ports::Ids,
    stays::Choice,
};

/// Why an item has no answer.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Stable code.
    pub code: String,
    /// In words, with the plugin's message.
    pub reason: String,
    /// The call that failed.
    pub call: Option<CallId>,
}

/// Collects the calls of a chunk.
pub(crate) struct Recorder<'a> {
    pub ids: &'a dyn Ids,
    /// The run that asks; none when a change of a subscription does.
    pub run: Option<RunId>,
    pub at: DateTime<Utc>,
    /// Where some of the calls are made a second time.
    pub runtime: &'a Runtime,
    pub recorded: Vec<Recorded>,
    pub calls: i64,
    /// What was asked of components on trial.
    pub outcomes: Outcomes,
}

impl<'a> Recorder<'a> {
    /// A recorder of nothing yet.
    pub fn new(ids: &'a dyn Ids, runtime: &'a Runtime, run: Option<RunId>, at: DateTime<Utc>) -> Self {
        Self { ids, run, at, runtime, recorded: Vec::new(), calls: 0, outcomes: Outcomes::default() }
    }
}

impl Recorder<'_> {
    fn keep(&mut self, binding: BindingId, record: &CallRecord, failure: Option<&CallFailure>) -> Result<CallId> {
        let id = CallId(self.ids.next());
        self.recorded.push(evidence::record(id, self.run, binding, self.at, record, failure)?);
        Ok(id)
    }
}

/// The answer about each item, with the call that gave it, or why there is none.
pub(crate) type Answers<A> = Vec<std::result::Result<(A, CallId), Fault>>;

/// Puts questions to a component.
pub(crate) type Asking<'a, Q, A> = dyn Fn(&Bound, &[Q]) -> Call<Vec<A>> + 'a;

/// Asks about all items, each the component of the binding that `choice` names for it.
pub(crate) fn ask_each<Q: Clone, A>(
    recorder: &mut Recorder<'_>,
    bound: &Bound,
    items: &[Q],
    choice: &dyn Fn(usize) -> Choice,
    call: &Asking<'_, Q, A>,
) -> Result<Answers<A>> {
    if bound.is_alone() {
        return ask(recorder, bound, items, &|part: &[Q]| call(bound, part));
    }
    let mut places: BTreeMap<Choice, Vec<usize>> = BTreeMap::new();
    for item in 0..items.len() {
        places.entry(choice(item)).or_default().push(item);
    }
    let mut answers: Vec<Option<std::result::Result<(A, CallId), Fault>>> = items.iter().map(|_| None).collect();
    for (choice, places) in places {
        let side = bound.chosen(choice);
        let part: Vec<Q> = places.iter().map(|place| items[*place].clone()).collect();
        let found = ask(recorder, side, &part, &|part: &[Q]| call(side, part))?;
        for (place, answer) in places.into_iter().zip(found) {
            answers[place] = Some(answer);
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Asks about all items, halving a failing batch.
pub(crate) fn ask<Q, A>(
    recorder: &mut Recorder<'_>,
    bound: &Bound,
    items: &[Q],
    call: &dyn Fn(&[Q]) -> Call<Vec<A>>,
) -> Result<Answers<A>> {
    let mut answers = Vec::with_capacity(items.len());
    if !items.is_empty() {
        descend(recorder, bound, items, call, &mut answers)?;
    }
    Ok(answers)
}

fn descend<Q, A>(
    recorder: &mut Recorder<'_>,
    bound: &Bound,
    items: &[Q],
    call: &dyn Fn(&[Q]) -> Call<Vec<A>>,
    answers: &mut Answers<A>,
) -> Result<()> {
    let Call { record, result } = call(items);
    recorder.calls += 1;
    match result {
        Ok(found) => {
            if found.len() != items.len() {
                return Err(ServiceError::Internal("the runtime passed an answer of another length".into()));
            }
            let id = recorder.keep(bound.binding, &record, None)?;
            recorder.runtime.recheck_later(&bound.plugin, id.0.as_u128(), &record, || {
                (bound.context.tenant.clone(), bound.context.binding.clone())
            });
            answers.extend(found.into_iter().map(|answer| Ok((answer, id))));
        }
        Err(failure) if failure.is_transient() => {
            return Err(ServiceError::Plugin { code: failure.code(), message: failure.to_string() });
        }
        Err(failure) => {
            // A wrong configuration fails every item alike, and an open circuit lets none pass: halving would only
            // multiply the failure.
            let hopeless = matches!(
                failure,
                CallFailure::Refused { kind: FaultKind::Misconfigured, .. } | CallFailure::CircuitOpen { .. }
            );
            if items.len() == 1 || hopeless {
                let id = recorder.keep(bound.binding, &record, Some(&failure))?;
                let fault = Fault { code: failure.code().to_owned(), reason: failure.to_string(), call: Some(id) };
                answers.extend(items.iter().map(|_| Err(fault.clone())));
            } else {
                let (left, right) = items.split_at(items.len() / 2);
                descend(recorder, bound, left, call, answers)?;
                descend(recorder, bound, right, call, answers)?;
            }
        }
    }
    Ok(())
}
