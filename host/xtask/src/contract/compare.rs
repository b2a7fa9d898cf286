//! The difference between two contracts, judged by the components that were built for the older one.
//!
//! Judges components, not texts: an addition is what a component built before cannot notice. Invariant: whatever is not
//! known to be an addition breaks.

use std::{collections::BTreeMap, fmt};

use super::surface::{Definition, Interface, Surface, World};

/// What a change does to components that were built before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// They cannot notice it.
    Adds,
    /// They no longer fit.
    Breaks,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub verdict: Verdict,
    /// Where, such as `types.money`.
    pub at: String,
    /// What, and for a break why.
    pub what: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Adds => "adds",
            Verdict::Breaks => "BREAKS",
        };
        write!(f, "{verdict:6}  {}: {}", self.at, self.what)
    }
}

/// Every difference, in the order of names.
pub fn compare(old: &Surface, new: &Surface) -> Vec<Change> {
    let mut changes = Changes::default();
    for (name, was) in &old.interfaces {
        match new.interfaces.get(name) {
            Some(is) => changes.interface(name, was, is, old.is_provided_by_plugins(name)),
            None => changes.breaks(name, "the interface is gone"),
        }
    }
    for name in added(&old.interfaces, &new.interfaces) {
        changes.adds(name, "a new interface");
    }
    for (name, was) in &old.worlds {
        match new.worlds.get(name) {
            Some(is) => changes.world(name, was, is),
            None => changes.breaks(&format!("world {name}"), "the world is gone"),
        }
    }
    for name in added(&old.worlds, &new.worlds) {
        changes.adds(&format!("world {name}"), "a new world");
    }
    changes.0
}

fn added<'a, T>(old: &'a BTreeMap<String, T>, new: &'a BTreeMap<String, T>) -> impl Iterator<Item = &'a String> {
    new.keys().filter(|name| !old.contains_key(*name))
}

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn adds(&mut self, at: &str, what: impl Into<String>) {
        self.0.push(Change { verdict: Verdict::Adds, at: at.to_owned(), what: what.into() });
    }

    fn breaks(&mut self, at: &str, what: impl Into<String>) {
        self.0.push(Change { verdict: Verdict::Breaks, at: at.to_owned(), what: what.into() });
    }

    fn interface(&mut self, name: &str, was: &Interface, is: &Interface, provided: bool) {
        for (function, before) in &was.functions {
            let at = format!("{name}.{function}");
            match is.functions.get(function) {
                Some(after) if after == before => {}
                Some(after) => self.breaks(&at, format!("was {before}, is {after}")),
                None => self.breaks(&at, "the function is gone"),
            }
        }
        for function in added(&was.functions, &is.functions) {
            let at = format!("{name}.{function}");
            if provided {
                self.breaks(
                    &at,
                    "a new function that plugins provide; older ones lack it: put it into a new interface",
                );
            } else {
                self.adds(&at, "a new function that the host provides");
            }
        }
        for (ty, before) in &was.types {
            let at = format!("{name}.{ty}");
            match is.types.get(ty) {
                Some(after) => self.definition(&at, before, after),
                None => self.breaks(&at, "the type is gone"),
            }
        }
        for ty in added(&was.types, &is.types) {
            self.adds(&format!("{name}.{ty}"), "a new type");
        }
    }

    fn definition(&mut self, at: &str, was: &Definition, is: &Definition) {
        if was.kind != is.kind {
            return self.breaks(at, format!("was {}, is {}", was.kind, is.kind));
        }
        let said = self.0.len();
        for before in &was.parts {
            match is.parts.iter().find(|part| part.name == before.name) {
                Some(after) if after.ty == before.ty => {}
                Some(after) => {
                    let named = if before.name.is_empty() { String::new() } else { format!("`{}` ", before.name) };
                    let [old, new] = [before, after].map(|part| if part.ty.is_empty() { "nothing" } else { &part.ty });
                    self.breaks(at, format!("{named}was {old}, is {new}"));
                }
                None => self.breaks(at, format!("`{}` is gone", before.name)),
            }
        }
        for after in is.parts.iter().filter(|part| !was.parts.iter().any(|before| before.name == part.name)) {
            let name = &after.name;
            self.breaks(at, format!("`{name}` is new, and no {} grows: make a new type for new functions", was.kind));
        }
        if self.0.len() == said && was != is {
            self.breaks(at, "the order of its parts is another");
        }
    }

    fn world(&mut self, name: &str, was: &World, is: &World) {
        let at = |item: &str| format!("world {name}, {item}");
        for (side, before, after) in [("import", &was.imports, &is.imports), ("export", &was.exports, &is.exports)] {
            for (item, old) in before {
                match after.get(item) {
                    Some(new) if new == old => {}
                    Some(new) => self.breaks(&at(item), format!("was {old}, is {new}")),
                    None => self.breaks(&at(item), format!("the {side} is gone")),
                }
            }
        }
        for item in added(&was.imports, &is.imports) {
            self.adds(&at(item), "a new import");
        }
        for item in added(&was.exports, &is.exports) {
            self.breaks(&at(item), "a new export; older plugins lack it: make a new world");
        }
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
