use super::*;

const WANTED: &[&str] = &["Название", "Адрес"];

type Read = std::result::Result<(i64, Vec<String>), (i64, String, &'static str)>;

fn read(bytes: &[u8]) -> Vec<Read> {
    let (mut table, _) = Table::open(bytes, WANTED, &[]).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = table.next_row() {
        rows.push(match row {
            Err(problem) => Err((problem.row, problem.column, problem.code)),
            Ok(row) => match row.undecodable().first() {
                Some(problem) => Err((problem.row, problem.column.clone(), problem.code)),
                None => Ok((row.line, WANTED.iter().map(|name| row.get(name).unwrap().to_owned()).collect())),
            },
        });
    }
    rows
}

#[expect(clippy::unnecessary_wraps, reason = "stands in lists with rows that were refused")]
fn good(line: i64, name: &str, address: &str) -> Read {
    Ok((line, vec![name.into(), address.into()]))
}

fn cp1251(text: &str) -> Vec<u8> {
    encoding_rs::WINDOWS_1251.encode(text).0.into_owned()
}

#[test]
fn the_header_tells_the_encoding() {
    let text = "Название;Адрес\r\nООО «Ёж»;№ 5\r\n";
    let expected = vec![good(2, "ООО «Ёж»", "№ 5")];
    assert_eq!(read(text.as_bytes()), expected);
    assert_eq!(read(&cp1251(text)), expected);
    assert_eq!(read(format!("\u{feff}{text}").as_bytes()), expected);
}

#[test]
fn a_byte_that_does_not_decode_costs_its_row_only() {
    let mut bytes = cp1251("Название;Адрес\r\nа;б\r\nв;г");
    bytes.extend(b"\x98");
    bytes.extend(cp1251("\r\nд;е\r\n"));
    let refused = Err((3, "Адрес".to_owned(), "bad-encoding"));
    assert_eq!(read(&bytes), vec![good(2, "а", "б"), refused.clone(), good(4, "д", "е")]);

    let mut bytes = "Название;Адрес\nа;б\nв;г".as_bytes().to_vec();
    bytes.extend(cp1251("г\n"));
    bytes.extend("д;е\n".as_bytes());
    assert_eq!(read(&bytes), vec![good(2, "а", "б"), refused, good(4, "д", "е")]);
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    for end in ["\n", "\r\n", "\r"] {
        let text = format!("Название;Адрес{end}{end}a;b{end};{end}\"c\";\"d{end}e\"{end}f;g");
        assert_eq!(read(text.as_bytes()), vec![good(3, "a", "b"), good(5, "c", "d e"), good(7, "f", "g")], "{end:?}");
    }
}

#[test]
fn quotes_may_hold_quotes_and_separators() {
    let text = "Название;Адрес\n\"ООО \"\"Ель; и Ко\"\"\";ул \"Новая\"\n";
    assert_eq!(read(text.as_bytes()), vec![good(2, "ООО \"Ель; и Ко\"", "ул \"Новая\"")]);
}

#[test]
fn an_unclosed_quote_costs_its_row_only() {
    let text = "Название;Адрес\na;b\n\"c;d\ne;f\n\"g\";h\ni;j\n";
    let refused = |line| Err((line, "Название".to_owned(), "bad-quotes"));
    assert_eq!(
        read(text.as_bytes()),
        vec![good(2, "a", "b"), refused(3), good(4, "e", "f"), good(5, "g", "h"), good(6, "i", "j")]
    );
    // Two of them close each other; the rows between are not lost.
    let text = "Название;Адрес\na;\"b\nc;d\ne;\"f\ng;h";
    let refused = |line| Err((line, "Адрес".to_owned(), "bad-quotes"));
    assert_eq!(read(text.as_bytes()), vec![refused(2), good(3, "c", "d"), refused(4), good(5, "g", "h")]);
}

#[test]
fn a_row_of_another_width_is_refused() {
    let text = "Название;Адрес\na\nb;c;d\ne;f\n";
    let refused = |line| Err((line, String::new(), "wrong-cell-count"));
    assert_eq!(read(text.as_bytes()), vec![refused(2), refused(3), good(4, "e", "f")]);
}

#[test]
fn missing_and_unknown_columns_are_named() {
    let Err(ServiceError::Invalid(errors)) = Table::open("Название;Адресс\n".as_bytes(), WANTED, &[])
    else {
        panic!("a missing column must be refused")
    };
    assert_eq!(errors.len(), 2);
    assert!(errors[0].message.contains("\"Адрес\" is missing"), "{}", errors[0].message);
    assert!(errors[1].message.contains("\"Адресс\""), "{}", errors[1].message);

    let (_, unknown) = Table::open("Название;Адрес;Прочее\n".as_bytes(), WANTED, &[]).unwrap();
    assert_eq!((unknown[0].row, unknown[0].column.as_str(), unknown[0].code), (1, "Прочее", "unknown-column"));
    assert!(Table::open("Название\n".as_bytes(), WANTED, &["Адрес"]).is_ok());
    assert!(Table::open(b"", WANTED, &[]).is_err());
    assert!(Table::open("Название;Адрес;Адрес\n".as_bytes(), WANTED, &[]).is_err());
}
