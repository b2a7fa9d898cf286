//! What a component is made of and how large its parts are, before anything is compiled.
//!
//! A compiler's work grows faster than the functions it is given, and a few kilobytes can name a million of them. Invariant:
//! what passes here compiles in a time that its size bounds. Only counted here; whether the bytes are valid is the
//! compiler's to say.

use wasmparser::{CanonicalFunction, CanonicalOption, Parser, Payload};

use crate::config::{Limits, LimitsTable};

/// How a component is put together; decides which engine runs it and which limits it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// One module and its adapters, as a compiler makes it.
    Plain,
    /// Components inside a component, or more modules than a compiler makes: an interpreter with a program for it.
    Composed,
}

/// What is not taken, or too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// Functions of all its modules.
    #[error("it has more than {limit} functions; split it, or raise limits.component_functions")]
    Functions {
        /// The limit.
        limit: u32,
    },
    /// One function.
    #[error(
        "one of its functions has {bytes} bytes, at most {limit} are taken; split it, or raise limits.function_bytes"
    )]
    Function {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Modules and components inside.
    #[error("it has more than {LARGEST_NEST} modules and components inside; link it into one module")]
    Parts,
    /// Texts in another encoding: converting them is where hosts have been broken, and no tool needs it.
    #[error("it passes texts in UTF-16; build it with string-encoding=utf8")]
    Encoding,
    /// Asynchronous functions, of which the contract has none.
    #[error("it has asynchronous functions, which the contract has not; build it with ordinary ones")]
    Async,
}

/// Most modules and components inside a component.
const LARGEST_NEST: usize = 64;
/// Most modules of a plain component: its own and small adapters.
pub(crate) const PLAIN_MODULES: u32 = 4;

/// What of a component is counted before it is compiled.
#[derive(Default)]
struct Counts {
    functions: u32,
    largest_function: usize,
    parts: usize,
    modules: u32,
    /// Whether a component inside runs a module of its own, so that calls pass between the memories of two.
    nested: bool,
}

impl Counts {
    fn build(&self) -> Build {
        if self.nested || self.modules > PLAIN_MODULES { Build::Composed } else { Build::Plain }
    }

    fn within(&self, limits: &Limits) -> Result<(), Unsound> {
        if self.functions > limits.component_functions {
            return Err(Unsound::Functions { limit: limits.component_functions });
        }
        if self.largest_function > limits.function_bytes {
            return Err(Unsound::Function { bytes: self.largest_function, limit: limits.function_bytes });
        }
        if self.parts > LARGEST_NEST { Err(Unsound::Parts) } else { Ok(()) }
    }
}

/// Refuses what the contract has not and what would keep the compiler busy for long, and says how the component is built;
/// broken bytes pass, the compiler names them better.
pub(crate) fn examine(bytes: &[u8], table: &LimitsTable) -> Result<Build, Unsound> {
    let mut counts = Counts::default();
    let mut around = Vec::new();
    let (plain, composed) = (table.largest(Build::Plain), table.largest(Build::Composed));
    let widest = plain.at_least(&composed);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::CodeSectionStart { count, .. }) => counts.functions = counts.functions.saturating_add(count),
            Ok(Payload::CodeSectionEntry(body)) => {
                counts.largest_function = counts.largest_function.max(body.range().len());
            }
            Ok(Payload::ModuleSection { .. }) => {
                counts.parts += 1;
                counts.modules += 1;
                around.push(Part::Module);
            }
            Ok(Payload::ComponentSection { .. }) => {
                counts.parts += 1;
                around.push(Part::Component);
            }
            Ok(Payload::InstanceSection(_)) => counts.nested |= around.contains(&Part::Component),
            Ok(Payload::End(_)) => {
                around.pop();
            }
            Ok(Payload::ComponentCanonicalSection(functions)) => {
                for function in functions.into_iter().flatten() {
                    canonical(&function)?;
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
        // Whatever it turns out to be: what is past both ends the reading.
        counts.within(&widest)?;
    }
    let build = counts.build();
    counts.within(if build == Build::Plain { &plain } else { &composed })?;
    Ok(build)
}

#[derive(PartialEq, Eq)]
enum Part {
    Module,
    Component,
}

/// Refuses texts and functions of a kind that the contract has not.
fn canonical(function: &CanonicalFunction) -> Result<(), Unsound> {
    let (CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. }) = function else {
        return Ok(());
    };
    for option in options {
        match option {
            CanonicalOption::UTF16 | CanonicalOption::CompactUTF16 => return Err(Unsound::Encoding),
            CanonicalOption::Async | CanonicalOption::Callback(_) => return Err(Unsound::Async),
            _ => {}
        }
    }
    Ok(())
}
