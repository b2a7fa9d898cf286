//! On whose word a component is installed.
//!
//! Owns the levels of trust and the decision to admit a component: its signature, its publisher, its version. Refuses to
//! know how a signature is computed and where keys are kept. Invariant: an id and a version name one component for ever,
//! and only the publisher who brought a plugin's id brings its next version.

use std::cmp::Ordering;

use crate::text::text_enum;

text_enum! {
    /// On whose word a component was installed.
    pub enum TrustLevel as "trust level" {
        /// Signed by the makers of this program.
        Core = "core",
        /// Signed by a publisher whose key the operator trusts.
        Trusted = "trusted",
        /// Not signed; for development and demonstrations.
        UnsignedDev = "unsigned-dev",
    }
}

text_enum! {
    /// Whether components without a signature are installed.
    pub enum Unsigned as "policy for unsigned components" {
        /// They are refused: the default.
        Deny = "deny",
        /// They are installed as `unsigned-dev`.
        Allow = "allow",
    }
}

/// A key of a publisher, as the operator's list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Its id.
    pub key_id: String,
    /// Who signs with it.
    pub publisher: String,
    /// `core` or `trusted`.
    pub level: TrustLevel,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What was found out about a component's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    Absent,
    /// There is one, and it does not fit the manifest.
    Wrong,
    /// It fits, and the operator does not know the key.
    ByStranger {
        /// Id of the key.
        key_id: String,
    },
    /// It fits.
    By(Signer),
}

/// A component that is installed already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// Its semantic version.
    pub version: String,
    /// Whose it is; none when it is not signed.
    pub publisher: Option<String>,
}

/// What a component is installed as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The level.
    pub level: TrustLevel,
    /// Who vouches; none for `unsigned-dev`.
    pub publisher: Option<String>,
}

/// Why a component is not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustRefusal {
    /// There is no signature.
    #[error(
        "the component is not signed and this installation refuses unsigned plugins; sign it with `altyn plugin sign`, or \
         set trust.unsigned = \"allow\" for development"
    )]
    Unsigned,
    /// The signature is wrong.
    #[error("the signature does not fit the manifest; get both again from the publisher, or sign again")]
    Signature,
    /// The key is not in the list.
    #[error("the key {0} is not trusted here; compare it with the publisher's and run `altyn plugin key trust`")]
    UnknownKey(String),
    /// The key was revoked.
    #[error("the key {key_id} of {publisher} was revoked; ask the publisher for a component signed with a new key")]
    RevokedKey {
        /// Id of the key.
        key_id: String,
        /// Whose it was.
        publisher: String,
    },
    /// Another component has this id and version.
    #[error("another component is installed as {id} {version}; raise the version of yours")]
    VersionTaken {
        /// The plugin's id.
        id: String,
        /// The version.
        version: String,
    },
    /// A newer version is installed.
    #[error("{id} {installed} is installed and {version} is older; install a newer one, or say --allow-downgrade")]
    Downgrade {
        /// The plugin's id.
        id: String,
        /// The version that was given.
        version: String,
        /// The newest that is installed.
        installed: String,
    },
    /// The id belongs to somebody else.
    #[error("{id} is installed from {installed} and this component comes from {given}; choose another plugin id")]
    OtherPublisher {
        /// The plugin's id.
        id: String,
        /// Whose the installed ones are.
        installed: String,
        /// Whose this one is.
        given: String,
    },
}

impl TrustRefusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "plugin-unsigned",
            Self::Signature => "plugin-signature",
            Self::UnknownKey(_) => "plugin-key-unknown",
            Self::RevokedKey { .. } => "plugin-key-revoked",
            Self::VersionTaken { .. } => "version-taken",
            Self::Downgrade { .. } => "plugin-downgrade",
            Self::OtherPublisher { .. } => "plugin-publisher",
        }
    }
}

/// Decides on whose word a component stands, before anything of it runs.
pub fn vouch(signature: &Signature, unsigned: Unsigned) -> Result<Vouched, TrustRefusal> {
    match signature {
        Signature::Absent if unsigned == Unsigned::Allow => {
            Ok(Vouched { level: TrustLevel::UnsignedDev, publisher: None })
        }
        Signature::Absent => Err(TrustRefusal::Unsigned),
        Signature::Wrong => Err(TrustRefusal::Signature),
        Signature::ByStranger { key_id } => Err(TrustRefusal::UnknownKey(key_id.clone())),
        Signature::By(signer) if signer.revoked => {
            let Signer { key_id, publisher, .. } = signer.clone();
            Err(TrustRefusal::RevokedKey { key_id, publisher })
        }
        Signature::By(signer) => Ok(Vouched { level: signer.level, publisher: Some(signer.publisher.clone()) }),
    }
}

/// Decides whether a component may join those of the same plugin id; answers the newer version it steps back from, which
/// is only done when `allow_downgrade` says so.
pub fn admit_version(
    id: &str,
    digest: &str,
    version: &str,
    vouched: &Vouched,
    installed: &[Installed],
    allow_downgrade: bool,
) -> Result<Option<String>, TrustRefusal> {
    let id = id.to_owned();
    if installed.iter().any(|one| one.version == version && one.digest != digest) {
        return Err(TrustRefusal::VersionTaken { id, version: version.to_owned() });
    }
    let newest = installed.iter().max_by(|a, b| order(&a.version, &b.version));
    let Some(newest) = newest else { return Ok(None) };
    // An unsigned beginning is open to whoever signs first; from then on the id has an owner.
    let owner = installed.iter().filter(|one| one.digest != digest).find_map(|one| one.publisher.as_deref());
    if let Some(owner) = owner
        && vouched.publisher.as_deref() != Some(owner)
    {
        let given = vouched.publisher.clone().unwrap_or_else(|| "nobody (it is not signed)".to_owned());
        return Err(TrustRefusal::OtherPublisher { id, installed: owner.to_owned(), given });
    }
    if order(version, &newest.version) == Ordering::Less {
        let installed = newest.version.clone();
        if !allow_downgrade {
            return Err(TrustRefusal::Downgrade { id, version: version.to_owned(), installed });
        }
        return Ok(Some(installed));
    }
    Ok(None)
}

/// The order of two semantic versions; a text that is none comes first.
fn order(a: &str, b: &str) -> Ordering {
    semver::Version::parse(a).ok().cmp(&semver::Version::parse(b).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(publisher: &str, revoked: bool) -> Signature {
        let (key_id, publisher) = ("0011223344556677".to_owned(), publisher.to_owned());
        Signature::By(Signer { key_id, publisher, level: TrustLevel::Trusted, revoked })
    }

    fn installed(digest: &str, version: &str, publisher: Option<&str>) -> Installed {
        Installed { digest: digest.into(), version: version.into(), publisher: publisher.map(str::to_owned) }
    }

    fn vouched(publisher: Option<&str>) -> Vouched {
        let level = if publisher.is_some() { TrustLevel::Trusted } else { TrustLevel::UnsignedDev };
        Vouched { level, publisher: publisher.map(str::to_owned) }
    }

    #[test]
    fn an_unsigned_component_needs_a_setting_and_a_signed_one_a_trusted_key() {
        let code = |signature, unsigned| vouch(&signature, unsigned).unwrap_err().code();
        assert_eq!(code(Signature::Absent, Unsigned::Deny), "plugin-unsigned");
        assert_eq!(vouch(&Signature::Absent, Unsigned::Allow), Ok(vouched(None)));
        for policy in [Unsigned::Deny, Unsigned::Allow] {
            assert_eq!(code(Signature::Wrong, policy), "plugin-signature");
            assert_eq!(code(Signature::ByStranger { key_id: "ab".into() }, policy), "plugin-key-unknown");
            assert_eq!(code(by("Acme", true), policy), "plugin-key-revoked");
            assert_eq!(vouch(&by("Acme", false), policy), Ok(vouched(Some("Acme"))));
        }
    }

    #[test]
    fn a_version_names_one_component_and_never_steps_back_unasked() {
        let there = [installed("aa", "1.9.0", None), installed("bb", "1.10.0", None)];
        let admit = |digest, version, allow| admit_version("tax", digest, version, &vouched(None), &there, allow);
        assert_eq!(admit("cc", "1.11.0", false), Ok(None));
        assert_eq!(admit("cc", "1.10.0", true).unwrap_err().code(), "version-taken");
        assert_eq!(admit("cc", "1.9.5", false).unwrap_err().code(), "plugin-downgrade");
        assert_eq!(admit("cc", "1.9.5", true), Ok(Some("1.10.0".into())));
        assert_eq!(admit("cc", "1.10.0-rc.1", false).unwrap_err().code(), "plugin-downgrade");
        assert_eq!(admit("bb", "1.10.0", false), Ok(None), "the same bytes again");
    }

    #[test]
    fn a_plugin_id_stays_with_its_publisher() {
        let there = [installed("aa", "1.0.0", Some("Acme"))];
        let admit = |publisher| admit_version("tax", "cc", "1.1.0", &vouched(publisher), &there, true);
        assert_eq!(admit(Some("Acme")), Ok(None));
        assert_eq!(admit(Some("Evil")).unwrap_err().code(), "plugin-publisher");
        assert_eq!(admit(None).unwrap_err().code(), "plugin-publisher");
        let unsigned = [installed("aa", "1.0.0", None)];
        assert_eq!(admit_version("tax", "cc", "1.1.0", &vouched(Some("Acme")), &unsigned, false), Ok(None));
    }
}
