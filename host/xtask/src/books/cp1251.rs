//! windows-1251: the signs that the example books use, and no other.

use anyhow::bail;

/// Signs outside ASCII and the plain alphabet, with their bytes.
const SIGNS: [(char, u8); 8] =
    [('Ё', 0xA8), ('ё', 0xB8), ('№', 0xB9), ('«', 0xAB), ('»', 0xBB), ('–', 0x96), ('—', 0x97), ('\u{a0}', 0xA0)];

/// The text in windows-1251; a sign that the table does not hold is an error.
pub fn encode(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for sign in text.chars() {
        bytes.push(match sign {
            '\0'..='\x7f' => u8::try_from(u32::from(sign))?,
            'А'..='я' => u8::try_from(u32::from(sign) - u32::from('А') + 0xC0)?,
            _ => match SIGNS.iter().find(|(known, _)| *known == sign) {
                Some((_, byte)) => *byte,
                None => bail!("the example books have no byte for `{sign}`; add it to the table"),
            },
        });
    }
    Ok(bytes)
}

/// The text of what `encode` wrote; nothing when a byte is not in the table.
#[cfg(test)]
pub fn decode(bytes: &[u8]) -> Option<String> {
    bytes
        .iter()
        .map(|byte| match byte {
            0..=0x7F => Some(char::from(*byte)),
            0xC0..=0xFF => char::from_u32(u32::from('А') + u32::from(*byte) - 0xC0),
            _ => SIGNS.iter().find(|(_, known)| known == byte).map(|(sign, _)| *sign),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_the_same() {
        let text = "ООО \"Ёлка № 5\" – «Мир» — Щука, яд; abc 09";
        assert_eq!(decode(&encode(text).unwrap()).unwrap(), text);
        assert_eq!(encode("АЯая").unwrap(), [0xC0, 0xDF, 0xE0, 0xFF]);
    }

    #[test]
    fn a_sign_without_a_byte_is_refused() {
        assert!(encode("漢").is_err());
    }
}
