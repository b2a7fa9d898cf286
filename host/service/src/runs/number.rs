//! Numbering: the plugin names the sequence and formats the value, the host owns the values.
//!
//! Values are foreseen here and taken by compare-and-set in the transaction that issues the documents: when somebody
//! else took them meanwhile, nothing is written and the chunk is computed again. So numbers have no gap, and no plugin is
//! waited for inside a transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use altyn_domain::{
    id::{CallId, ContractId, SellerId},
    numbering::{Draft, check_number, check_sequence},
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    ask::{Answers, Fault, Recorder, ask_each},
    compute::{Inputs, Parked, Planned},
};
use crate::{
    canary::outcomes::Outcomes,
    error::{Result, ServiceError},
    evidence::Recorded,
    plugins::Bound,
};

/// A seller's sequence.
pub(super) type SequenceName = (Uuid, String);

/// Numbers that stand on invoices of a seller already, as far as this pass has met them.
pub(super) type TakenNumbers = HashSet<(Uuid, String)>;

/// The next value of each sequence, as far as this run has foreseen them.
pub(super) type NextValues = HashMap<SequenceName, i64>;

/// The number of one invoice.
#[derive(Clone, Debug)]
pub(super) struct Number {
    pub text: String,
    pub sequence: SequenceName,
    pub value: i64,
    pub call: CallId,
    pub call_line: i32,
}

/// Which sequences the invoices of a chunk take, in document order.
pub(super) struct Named {
    /// One a planned invoice, in order of contracts and invoices.
    pub sequences: Vec<(SequenceName, u64)>,
    pub recorded: Vec<Recorded>,
    pub calls: i64,
    /// What was asked of components on trial.
    pub outcomes: Outcomes,
}

fn drafts(inputs: &Inputs, planned: &[Planned]) -> (Vec<Draft>, Vec<usize>) {
    let mut drafts = Vec::with_capacity(planned.len());
    let mut owner = Vec::with_capacity(planned.len());
    for (index, plan) in planned.iter().enumerate() {
        for _ in &plan.invoices {
            owner.push(index);
            drafts.push(Draft {
                id: drafts.len().to_string(),
                kind: "invoice".to_owned(),
                seller: SellerId(plan.seller).to_string(),
                contract: plan.contract_number.clone(),
                issued_on: inputs.on,
                attributes: Vec::new(),
            });
        }
    }
    (drafts, owner)
}

fn recorder(inputs: &Inputs, at: DateTime<Utc>) -> Recorder<'_> {
    Recorder::new(&*inputs.ids, &inputs.runtime, Some(inputs.run), at)
}

/// Parks the plans at the given places, keeping the order of the others.
fn park(planned: &mut Vec<Planned>, parked: &mut Vec<Parked>, faults: &mut BTreeMap<usize, Fault>) {
    let mut index = 0;
    planned.retain(|plan| {
        let fault = faults.remove(&index);
        index += 1;
        let keep = fault.is_none();
        if let Some(fault) = fault {
            parked.push(Parked { contract: plan.contract, fault });
        }
        keep
    });
}

/// Asks which sequence each invoice takes; contracts without an answer are parked.
pub(super) fn name_sequences(
    inputs: &Inputs,
    planned: &mut Vec<Planned>,
    parked: &mut Vec<Parked>,
    at: DateTime<Utc>,
) -> Result<Named> {
    let mut recorder = recorder(inputs, at);
    let (drafts, owner) = drafts(inputs, planned);
    let bound = &inputs.numbering;
    let choice = |draft: usize| bound.choice_of_contract(planned[owner[draft]].contract);
    let answers = ask_each(&mut recorder, bound, &drafts, &choice, &|of, part: &[Draft]| {
        inputs.runtime.sequences(&of.plugin, &of.context, part)
    })?;
    let mut faults = BTreeMap::new();
    let mut found = Vec::with_capacity(drafts.len());
    for (answer, owner) in answers.into_iter().zip(owner) {
        let checked = answer.and_then(|(sequence, call)| match check_sequence(&sequence) {
            Ok(()) => Ok(sequence),
            Err(violation) => Err(refused(&violation, call)),
        });
        let choice = bound.choice_of_contract(planned[owner].contract);
        recorder.outcomes.note(bound, choice, checked.is_err());
        match checked {
            Ok(sequence) => found.push((owner, ((planned[owner].seller, sequence.key), sequence.start))),
            Err(fault) => {
                faults.entry(owner).or_insert(fault);
            }
        }
    }
    found.retain(|(owner, _)| !faults.contains_key(owner));
    park(planned, parked, &mut faults);
    Ok(Named {
        sequences: found.into_iter().map(|(_, sequence)| sequence).collect(),
        recorded: recorder.recorded,
        calls: recorder.calls,
        outcomes: recorder.outcomes,
    })
}

fn refused(violation: &impl ToString, call: CallId) -> Fault {
    Fault { code: "number-refused".to_owned(), reason: violation.to_string(), call: Some(call) }
}

/// A chunk's numbers with the evidence of the call that formatted them.
pub(super) struct Numbered {
    /// One a planned invoice, in order.
    pub numbers: Vec<Number>,
    /// Per sequence: the value it stood at, the value after this chunk.
    pub taken: Vec<(SequenceName, i64, i64)>,
    pub recorded: Vec<Recorded>,
    pub calls: i64,
    /// What was asked of components on trial.
    pub outcomes: Outcomes,
}

/// Gives every invoice its value and has it formatted; `next` moves only when all are numbered.
///
/// A document whose number fails is parked and the values are given again without it, so that none is left out. So is one
/// whose number is `taken`; with it all behind it to whom the same value would give a taken number, because a value is
/// never skipped and they would be parked one after another.
pub(super) fn give_numbers(
    inputs: &Inputs,
    planned: &mut Vec<Planned>,
    parked: &mut Vec<Parked>,
    mut sequences: Vec<(SequenceName, u64)>,
    next: &mut NextValues,
    taken: &TakenNumbers,
    at: DateTime<Utc>,
) -> Result<Numbered> {
    let bound = &inputs.numbering;
    let mut failed_evidence = Vec::new();
    let mut calls = 0;
    let mut outcomes = Outcomes::default();
    loop {
        let mut recorder = recorder(inputs, at);
        let (drafts, owner) = drafts(inputs, planned);
        let mut moved: BTreeMap<SequenceName, (i64, i64)> = BTreeMap::new();
        let mut values = Vec::with_capacity(drafts.len());
        for (name, start) in &sequences {
            let start = i64::try_from(*start).unwrap_or(1);
            let standing = next.get(name).copied().unwrap_or(start);
            let (_, after) = moved.entry(name.clone()).or_insert((standing, standing));
            values.push(*after);
            *after += 1;
        }
        let items: Vec<(Draft, u64)> =
            drafts.into_iter().zip(values.iter().map(|value| u64::try_from(*value).unwrap_or(0))).collect();
        let choice = |item: usize| bound.choice_of_contract(planned[owner[item]].contract);
        let numbers_of = |of: &Bound, part: &[(Draft, u64)]| {
            let (drafts, values): (Vec<Draft>, Vec<u64>) = part.iter().cloned().unzip();
            inputs.runtime.numbers(&of.plugin, &of.context, &drafts, &values)
        };
        let answers: Answers<String> = ask_each(&mut recorder, bound, &items, &choice, &numbers_of)?;
        calls += recorder.calls;
        let mut faults = BTreeMap::new();
        let mut seen = HashSet::with_capacity(answers.len());
        let mut numbers = Vec::with_capacity(answers.len());
        // The first document of each sequence whose number is taken.
        let mut stuck: BTreeMap<&SequenceName, usize> = BTreeMap::new();
        for (index, (answer, owner)) in answers.into_iter().zip(&owner).enumerate() {
            let plan = &planned[*owner];
            let checked = answer.and_then(|(text, call)| {
                check_number(&text).map_err(|violation| refused(&violation, call))?;
                if taken.contains(&(plan.seller, text.clone())) {
                    stuck.entry(&sequences[index].0).or_insert(index);
                    return Err(number_taken(plan.contract, &text));
                }
                if seen.insert((planned[*owner].seller, text.clone())) {
                    Ok((text, call))
                } else {
                    Err(refused(&format!("the number {text} was given twice"), call))
                }
            });
            // A number that is taken tells of the books, and not of who gave it.
            let fault = checked.as_ref().is_err_and(|fault| fault.call.is_some());
            outcomes.note(bound, bound.choice_of_contract(plan.contract), fault);
            match checked {
                Ok((text, call)) => numbers.push(Number {
                    text,
                    sequence: sequences[index].0.clone(),
                    value: values[index],
                    call,
                    call_line: i32::try_from(index).unwrap_or(i32::MAX),
                }),
                Err(fault) => {
                    faults.entry(*owner).or_insert(fault);
                }
            }
        }
        if faults.is_empty() {
            let taken: Vec<_> = moved.into_iter().map(|(name, (from, to))| (name, from, to)).collect();
            for (name, _, to) in &taken {
                next.insert(name.clone(), *to);
            }
            failed_evidence.extend(recorder.recorded);
            return Ok(Numbered { numbers, taken, recorded: failed_evidence, calls, outcomes });
        }
        for (name, first) in stuck {
            let behind: Vec<usize> = (first + 1..items.len()).filter(|index| sequences[*index].0 == *name).collect();
            let probes: Vec<(Draft, u64)> =
                behind.iter().map(|index| (items[*index].0.clone(), items[first].1)).collect();
            let mut probing = self::recorder(inputs, at);
            let choice = |probe: usize| bound.choice_of_contract(planned[owner[behind[probe]]].contract);
            let answers: Answers<String> = ask_each(&mut probing, bound, &probes, &choice, &numbers_of)?;
            calls += probing.calls;
            for (index, answer) in behind.into_iter().zip(answers) {
                let plan = &planned[owner[index]];
                let Ok((text, _)) = answer else { break };
                if !taken.contains(&(plan.seller, text.clone())) {
                    break;
                }
                faults.entry(owner[index]).or_insert_with(|| number_taken(plan.contract, &text));
            }
        }
        let before = planned.len();
        let mut index = 0;
        sequences.retain(|_| {
            let keep = !faults.contains_key(&owner[index]);
            index += 1;
            keep
        });
        // Only the faults' own calls stay: the others numbered documents that get new numbers now.
        let kept: HashSet<Uuid> = faults.values().filter_map(|fault| fault.call).map(|call| call.0).collect();
        failed_evidence.extend(recorder.recorded.into_iter().filter(|recorded| kept.contains(&recorded.row.id)));
        park(planned, parked, &mut faults);
        if planned.len() == before {
            return Err(ServiceError::Internal("numbering did not come to an end".into()));
        }
    }
}

/// Why a contract whose number stands on another invoice is parked.
pub(super) fn number_taken(contract: Uuid, number: &str) -> Fault {
    Fault {
        code: "number-taken".to_owned(),
        reason: format!(
            "the number {number} for {} stands on another invoice; correct the numbering plugin's configuration",
            ContractId(contract)
        ),
        call: None,
    }
}
