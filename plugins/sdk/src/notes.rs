//! Notes for the operator. They never change an answer. Outside a component (in tests) they go nowhere.

#[cfg(target_arch = "wasm32")]
use crate::bindings::metadata::altyn::billing::log;

macro_rules! note {
    ($(#[$doc:meta])* $name:ident $level:ident) => {
        $(#[$doc])*
        pub fn $name(message: &str) {
            #[cfg(target_arch = "wasm32")]
            log::emit(log::Level::$level, message);
            #[cfg(not(target_arch = "wasm32"))]
            let _ = message;
        }
    };
}

note!(
    /// For the author of the plugin.
    debug Debug
);
note!(
    /// Normal course of things.
    info Info
);
note!(
    /// Worth a look; the answer stands.
    warn Warn
);
note!(
    /// Something is wrong; return a fault as well.
    error Error
);

/// Lets a panic say its last word in the log before the guest dies.
#[doc(hidden)]
pub fn note_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}
