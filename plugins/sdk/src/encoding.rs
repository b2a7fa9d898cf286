//! The small encodings that payment protocols are made of: forms, base64url, CRC-32.

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            push_escape(&mut encoded, byte);
        }
    }
    encoded
}

/// Encodes one name or value of a form (`application/x-www-form-urlencoded`): a space becomes `+`.
pub fn form_value(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b if b.is_ascii_alphanumeric() || b"-._*".contains(&b) => encoded.push(char::from(b)),
            b => push_escape(&mut encoded, b),
        }
    }
    encoded
}

fn push_escape(encoded: &mut String, byte: u8) {
    let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
    encoded.push('%');
    encoded.push(digit(byte >> 4));
    encoded.push(digit(byte & 15));
}

/// Writes a form from its fields.
pub fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut encoded = String::new();
    for (name, value) in fields {
        if !encoded.is_empty() {
            encoded.push('&');
        }
        encoded.push_str(&form_value(name));
        encoded.push('=');
        encoded.push_str(&form_value(value));
    }
    encoded
}

/// Reads a form or a query. Bytes that are not UTF-8 make the whole unreadable.
pub fn read_form(text: &[u8]) -> Option<Vec<(String, String)>> {
    let pairs = text.split(|&b| b == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let at = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
            Some((read_value(&pair[..at])?, read_value(pair.get(at + 1..).unwrap_or_default())?))
        })
        .collect()
}

fn read_value(bytes: &[u8]) -> Option<String> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(plain).ok()
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Writes base64url without padding, as in JWT.
pub fn base64url(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, &byte| (group << 8) | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let index = usize::try_from((group >> (18 - 6 * place)) & 63).unwrap_or_default();
            encoded.push(char::from(BASE64URL[index]));
        }
    }
    encoded
}

/// Reads base64 or base64url, with or without padding; None when it is neither.
pub fn read_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut plain = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.chunks(4) {
        let mut group = 0_u32;
        for &byte in chunk {
            let byte = match byte {
                b'+' => b'-',
                b'/' => b'_',
                byte => byte,
            };
            let digit = BASE64URL.iter().position(|&known| known == byte)?;
            group = (group << 6) | u32::try_from(digit).ok()?;
        }
        let bytes = match chunk.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        group <<= 6 * (4 - chunk.len());
        plain.extend_from_slice(&group.to_be_bytes()[1..=bytes]);
    }
    Some(plain)
}

/// CRC-32 as in Ethernet and zip (IEEE 802.3).
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_reads_back() {
        let fields = [("a b", "1&2=3"), ("имя", "Ёлка +100%"), ("", "")];
        let text = form(fields);
        let read = read_form(text.as_bytes()).unwrap();
        assert_eq!(read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(), fields);
        assert_eq!(form_value("Услуги связи"), "%D0%A3%D1%81%D0%BB%D1%83%D0%B3%D0%B8+%D1%81%D0%B2%D1%8F%D0%B7%D0%B8");
        assert_eq!(percent("a b~"), "a%20b~");
        for broken in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff"] {
            assert_eq!(read_form(broken), None);
        }
    }

    #[test]
    fn base64_reads_back_in_both_alphabets() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar", "\u{ff}\u{fe}?>~"] {
            assert_eq!(read_base64(&base64url(text.as_bytes())).unwrap(), text.as_bytes());
        }
        assert_eq!(base64url(b"foobar"), "Zm9vYmFy");
        assert_eq!(read_base64("Zm9v+/==").as_deref(), read_base64("Zm9v-_").as_deref());
        assert_eq!(read_base64("a"), None);
        assert_eq!(read_base64("a*bc"), None);
    }

    #[test]
    fn crc_32_is_that_of_zip() {
        assert_eq!(crc32(b"123456789"), 3_421_780_262);
        assert_eq!(crc32(b""), 0);
    }
}
