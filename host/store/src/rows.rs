//! Many rows as columns: the shape in which set-based statements receive them.
//!
//! Knows no table and no engine; `db.rs` turns it into arrays or `values` lists.

use chrono::NaiveDate;
use uuid::Uuid;

/// The values of one column, one a row.
#[derive(Clone, Debug)]
pub enum Column {
    /// Ids.
    Id(Vec<Uuid>),
    /// Optional ids.
    IdOption(Vec<Option<Uuid>>),
    /// Small numbers.
    I32(Vec<i32>),
    /// Optional small numbers.
    I32Option(Vec<Option<i32>>),
    /// Numbers and amounts in minor units.
    I64(Vec<i64>),
    /// Optional numbers.
    I64Option(Vec<Option<i64>>),
    /// Texts.
    Text(Vec<String>),
    /// Optional texts.
    TextOption(Vec<Option<String>>),
    /// Local dates.
    Date(Vec<NaiveDate>),
    /// Optional local dates.
    DateOption(Vec<Option<NaiveDate>>),
    /// Bytes.
    Bytes(Vec<Vec<u8>>),
    /// Optional bytes.
    BytesOption(Vec<Option<Vec<u8>>>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Id(values) => values.len(),
            Self::IdOption(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I32Option(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::I64Option(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::TextOption(values) => values.len(),
            Self::Date(values) => values.len(),
            Self::DateOption(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::BytesOption(values) => values.len(),
        }
    }
}

macro_rules! from {
    ($($variant:ident($type:ty)),* $(,)?) => {
        $(impl From<Vec<$type>> for Column {
            fn from(values: Vec<$type>) -> Self {
                Self::$variant(values)
            }
        })*
    };
}
from!(
    Id(Uuid),
    IdOption(Option<Uuid>),
    I32(i32),
    I32Option(Option<i32>),
    I64(i64),
    I64Option(Option<i64>),
    Text(String),
    TextOption(Option<String>),
    Date(NaiveDate),
    DateOption(Option<NaiveDate>),
    Bytes(Vec<u8>),
    BytesOption(Option<Vec<u8>>),
);

/// Rows as named columns of one length.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    columns: Vec<(&'static str, Column)>,
}

impl Rows {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column.
    ///
    /// # Panics
    /// When its length differs from the columns before: a mistake of the caller that would shift every value.
    pub fn with(mut self, name: &'static str, values: impl Into<Column>) -> Self {
        let column = values.into();
        if let Some((first, other)) = self.columns.first() {
            assert_eq!(other.len(), column.len(), "column {name} is not as long as column {first}");
        }
        self.columns.push((name, column));
        self
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The columns in order.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, &Column)> {
        self.columns.iter().map(|(name, column)| (*name, column))
    }
}

/// One value of each item, as a column.
pub(crate) fn column<T, V>(items: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    items.iter().map(value).collect()
}
