//! What a component is made of and how large its parts are, before anything is compiled.
//!
//! A compiler's work grows faster than the functions it is given, and a few kilobytes can name a million of them. Invariant:
//! what passes here compiles in a time that its size bounds. Only counted here; whether the bytes are valid is the
//! compiler's to say.

use wasmparser::{CanonicalFunction, CanonicalOption, Parser, Payload};

use crate::config::Limits;

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

/// Refuses what the contract has not and what would keep the compiler busy for long; broken bytes pass, the compiler names them better.
pub(crate) fn examine(bytes: &[u8], limits: &Limits) -> Result<(), Unsound> {
    let (mut functions, mut parts) = (0_u32, 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::CodeSectionStart { count, .. }) => {
                functions = functions.saturating_add(count);
                if functions > limits.component_functions {
                    return Err(Unsound::Functions { limit: limits.component_functions });
                }
            }
            Ok(Payload::CodeSectionEntry(body)) => {
                let (bytes, limit) = (body.range().len(), limits.function_bytes);
                if bytes > limit {
                    return Err(Unsound::Function { bytes, limit });
                }
            }
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => {
                parts += 1;
                if parts > LARGEST_NEST {
                    return Err(Unsound::Parts);
                }
            }
            Ok(Payload::ComponentCanonicalSection(functions)) => {
                for function in functions.into_iter().flatten() {
                    let (CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. }) = function
                    else {
                        continue;
                    };
                    for option in options {
                        match option {
                            CanonicalOption::UTF16 | CanonicalOption::CompactUTF16 => return Err(Unsound::Encoding),
                            CanonicalOption::Async | CanonicalOption::Callback(_) => return Err(Unsound::Async),
                            _ => {}
                        }
                    }
                }
            }
            Ok(_) => {}
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}
