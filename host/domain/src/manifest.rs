//! The manifest of a plugin: what its publisher signs, and in which bytes.
//!
//! Owns the fields, their one canonical form and the comparison with what a component says about itself. Refuses to know
//! keys and cryptography: it names the bytes, others sign them. Invariant: two manifests with the same meaning have the
//! same bytes, and nothing that a manifest file carries is outside of what is signed.

use serde::{Deserialize, Serialize};

use crate::{
    grant::{host_name, secret_name},
    plugin::{Descriptor, World},
};

/// The format of a manifest; another one is refused.
pub const FORMAT: &str = "altyn-plugin/1";
/// Stands before the canonical JSON in the signed bytes, so that a signature made for another purpose never fits.
const SIGNED_PREFIX: &[u8] = b"altyn plugin manifest 1\n";
/// The most hosts, and the most secrets, that a plugin may ask for.
pub const MOST_WISHES: usize = 64;

/// What a publisher vouches for; its fields stand in alphabetical order, which is their order in the signed bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// SHA-256 of the component, 64 lower-case hexadecimal digits.
    pub component_sha256: String,
    /// Version of the plugin contract that the component was built for.
    pub contract_version: String,
    /// [`FORMAT`].
    pub format: String,
    /// Hosts that it asks to reach, sorted.
    pub hosts: Vec<String>,
    /// The id of the plugin.
    pub id: String,
    /// Names of the secrets that it asks for, sorted.
    pub secrets: Vec<String>,
    /// Semantic version.
    pub version: String,
    /// The world it implements.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "tax-rule"))]
    pub world: World,
}

/// A manifest with its signature, as it lies in a file beside the component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedManifest {
    /// What is signed.
    pub manifest: Manifest,
    /// Id of the key, 16 hexadecimal digits of the SHA-256 of its public half.
    pub key_id: String,
    /// The public half of the key, 64 hexadecimal digits; trust comes from the host's own list, not from here.
    pub public_key: String,
    /// The ed25519 signature of [`Manifest::signed_bytes`], 128 hexadecimal digits.
    pub signature: String,
}

/// Why a manifest is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Another format.
    #[error(
        "the manifest has the format \"{0}\", this host reads {FORMAT}; sign the component with a release that fits"
    )]
    Format(String),
    /// A field is not in its canonical form.
    #[error("the manifest's {field} {what}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The component is another one.
    #[error("the manifest is for another component ({signed}), this one is {actual}; sign this component")]
    Component {
        /// Digest in the manifest.
        signed: String,
        /// Digest of the component.
        actual: String,
    },
    /// The component says something else about itself; one line for each difference.
    #[error("the manifest disagrees with the component: {}", .0.join("; "))]
    Disagrees(Vec<String>),
}

/// Whether a text is a plugin's id: 1 to 64 characters of a-z, 0-9 and -.
pub fn is_plugin_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

impl Manifest {
    /// The manifest of a component that describes itself so.
    pub fn new(digest: &str, contract_version: &str, world: World, descriptor: &Descriptor) -> Self {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.dedup();
            names
        };
        Self {
            component_sha256: digest.to_owned(),
            contract_version: contract_version.to_owned(),
            format: FORMAT.to_owned(),
            hosts: sorted(&descriptor.hosts),
            id: descriptor.id.clone(),
            secrets: sorted(&descriptor.secrets),
            version: descriptor.version.clone(),
            world,
        }
    }

    /// Checks that every field is in its one canonical form.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.format != FORMAT {
            return Err(ManifestError::Format(crate::text::shorten(&self.format)));
        }
        let wrong = |field, what: String| Err(ManifestError::Field { field, what });
        let digits = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if self.component_sha256.len() != 64 || !digits(&self.component_sha256) {
            return wrong("component_sha256", "is not 64 lower-case hexadecimal digits".to_owned());
        }
        if !is_plugin_id(&self.id) {
            return wrong("id", "must have 1 to 64 characters of a-z, 0-9 and -".to_owned());
        }
        for (field, text) in [("version", &self.version), ("contract_version", &self.contract_version)] {
            if semver::Version::parse(text).is_err() {
                return wrong(field, "is not a semantic version such as 1.4.0".to_owned());
            }
        }
        for (field, names, is) in [
            ("hosts", &self.hosts, host_name as fn(&str) -> Result<(), String>),
            ("secrets", &self.secrets, secret_name),
        ] {
            if names.len() > MOST_WISHES {
                return wrong(field, format!("are more than {MOST_WISHES}"));
            }
            if !names.is_sorted_by(|a, b| a < b) {
                return wrong(field, "must be sorted and each named once".to_owned());
            }
            if let Some(what) = names.iter().find_map(|name| is(name).err()) {
                return wrong(field, format!("hold a wrong name: {what}"));
            }
        }
        Ok(())
    }

    /// The bytes that are signed: a prefix and the canonical JSON, that is, sorted keys and no spaces.
    ///
    /// A checked manifest holds only characters that JSON writes in one way.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = SIGNED_PREFIX.to_vec();
        // A manifest is texts and lists of texts; there is nothing in it that JSON cannot write.
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes
    }

    /// Checks that the manifest speaks of this component, before anything of it runs.
    pub fn names(&self, digest: &str, contract_version: &str, world: World) -> Result<(), ManifestError> {
        if self.component_sha256 != digest {
            let (signed, actual) = (self.component_sha256.clone(), digest.to_owned());
            return Err(ManifestError::Component { signed, actual });
        }
        let mut differences = Vec::new();
        if self.world != world {
            differences.push(format!(
                "world {} is signed, the component implements {}",
                self.world.as_str(),
                world.as_str()
            ));
        }
        if self.contract_version != contract_version {
            differences.push(format!(
                "contract {} is signed, the component was built for {contract_version}",
                self.contract_version
            ));
        }
        if differences.is_empty() { Ok(()) } else { Err(ManifestError::Disagrees(differences)) }
    }

    /// Checks that the component says about itself what is signed.
    pub fn agrees(&self, descriptor: &Descriptor) -> Result<(), ManifestError> {
        let said = Self::new(&self.component_sha256, &self.contract_version, self.world, descriptor);
        let mut differences = Vec::new();
        for (what, signed, described) in [("id", &self.id, &said.id), ("version", &self.version, &said.version)] {
            if signed != described {
                let described = crate::text::shorten(described);
                differences.push(format!("{what} {signed} is signed, the component says {described:?}"));
            }
        }
        for (what, signed, described) in [("host", &self.hosts, &said.hosts), ("secret", &self.secrets, &said.secrets)]
        {
            for name in described.iter().filter(|name| !signed.contains(name)) {
                differences.push(format!("{what} {:?} is asked for and not signed", crate::text::shorten(name)));
            }
            for name in signed.iter().filter(|name| !described.contains(name)) {
                differences.push(format!("{what} {name:?} is signed and not asked for"));
            }
        }
        if differences.is_empty() { Ok(()) } else { Err(ManifestError::Disagrees(differences)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn descriptor() -> Descriptor {
        Descriptor {
            id: "robokassa".into(),
            version: "1.2.0".into(),
            title: "Robokassa".into(),
            config_schema: "{}".into(),
            secrets: vec!["password2".into(), "password1".into()],
            hosts: vec!["auth.robokassa.ru".into()],
        }
    }

    fn manifest() -> Manifest {
        Manifest::new(&"ab".repeat(32), "0.1.0", World::TaxRule, &descriptor())
    }

    #[test]
    fn the_signed_bytes_are_one_line_of_sorted_json_behind_a_prefix() {
        let text = String::from_utf8(manifest().signed_bytes()).unwrap();
        let (prefix, json) = text.split_once('\n').unwrap();
        assert_eq!(prefix, "altyn plugin manifest 1");
        assert_eq!(
            json,
            format!(
                "{{\"component_sha256\":\"{}\",\"contract_version\":\"0.1.0\",\"format\":\"altyn-plugin/1\",\
                 \"hosts\":[\"auth.robokassa.ru\"],\"id\":\"robokassa\",\"secrets\":[\"password1\",\"password2\"],\
                 \"version\":\"1.2.0\",\"world\":\"tax-rule\"}}",
                "ab".repeat(32)
            )
        );
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert!(keys.is_sorted());
    }

    #[test]
    fn a_manifest_carries_nothing_that_is_not_signed() {
        let mut value = serde_json::to_value(manifest()).unwrap();
        value["note"] = "not signed".into();
        assert!(serde_json::from_value::<Manifest>(value).unwrap_err().to_string().contains("unknown field `note`"));
    }

    #[test]
    fn a_manifest_has_one_form() {
        type Case = (&'static str, fn(&mut Manifest));
        assert_eq!(manifest().check(), Ok(()));
        let wrong: [Case; 10] = [
            ("component_sha256", |m| m.component_sha256 = "AB".repeat(32)),
            ("id", |m| m.id = "Robokassa".into()),
            ("version", |m| m.version = "1.2".into()),
            ("contract_version", |m| m.contract_version = "latest".into()),
            ("hosts", |m| m.hosts = vec!["b.example.org".into(), "a.example.org".into()]),
            ("hosts", |m| m.hosts = vec!["a.example.org".into(), "a.example.org".into()]),
            ("hosts", |m| m.hosts = vec!["*.example.org".into()]),
            ("hosts", |m| m.hosts = vec!["127.0.0.1".into()]),
            ("secrets", |m| m.secrets = vec!["pass word".into()]),
            ("secrets", |m| m.secrets = (10..90).map(|i| format!("secret{i}")).collect()),
        ];
        for (field, change) in wrong {
            let mut manifest = manifest();
            change(&mut manifest);
            let error = manifest.check().unwrap_err();
            assert!(matches!(error, ManifestError::Field { field: named, .. } if named == field), "{field}: {error}");
        }
        let other = Manifest { format: "altyn-plugin/2".into(), ..manifest() };
        assert!(matches!(other.check(), Err(ManifestError::Format(_))));
    }

    #[test]
    fn every_difference_from_the_component_is_named() {
        assert_eq!(manifest().agrees(&descriptor()), Ok(()));
        let said = Descriptor {
            id: "robokassa2".into(),
            version: "1.2.1".into(),
            hosts: vec!["evil.example.org".into()],
            secrets: vec!["password1".into()],
            ..descriptor()
        };
        let ManifestError::Disagrees(differences) = manifest().agrees(&said).unwrap_err() else { panic!() };
        assert_eq!(differences.len(), 5, "{differences:?}");
        assert!(differences.contains(&"host \"evil.example.org\" is asked for and not signed".to_owned()));
        assert!(differences.contains(&"secret \"password2\" is signed and not asked for".to_owned()));
        let digest = "cd".repeat(32);
        assert!(matches!(
            manifest().names(&digest, "0.1.0", World::TaxRule),
            Err(ManifestError::Component { actual, .. }) if actual == digest
        ));
        assert!(manifest().names(&"ab".repeat(32), "0.1.1", World::NumberingScheme).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_in_a_manifest_is_read_or_refused_and_never_panics(text in "\\PC{0,80}") {
            let any = Manifest { id: text.clone(), version: text.clone(), hosts: vec![text.clone()], ..manifest() };
            prop_assert!(any.check().is_err());
            let said = Descriptor { id: text.clone(), version: text, ..descriptor() };
            prop_assert!(manifest().agrees(&said).is_err());
        }

        #[test]
        fn different_manifests_have_different_bytes(a in "[a-z0-9-]{1,20}", b in "[a-z0-9-]{1,20}") {
            let of = |id: &str| Manifest { id: id.into(), ..manifest() }.signed_bytes();
            prop_assert_eq!(of(&a) == of(&b), a == b);
        }
    }
}
