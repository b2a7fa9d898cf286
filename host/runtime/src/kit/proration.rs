//! What a proration strategy is asked: whole months and years and parts of them cut at either end or both, fresh and billed, in currencies
//! with no, two and three digits.

use altyn_domain::calendar::Period;
use altyn_domain::money::{Currency, Money};
use altyn_domain::plugin::CallContext;
use altyn_domain::proration::{self, CurrentDay, Question, Share};
use chrono::{Days, Months, NaiveDate};

use super::{Numbers, Subject};
use crate::call::Call;
use crate::engine::Runtime;
use crate::install::Plugin;

/// How many questions are made.
const QUESTIONS: usize = 300;

pub(super) struct Questions<'a> {
    runtime: &'a Runtime,
    plugin: &'a Plugin,
    asked: Vec<Question>,
}

pub(super) fn questions<'a>(runtime: &'a Runtime, plugin: &'a Plugin) -> Questions<'a> {
    let mut numbers = Numbers(1);
    let questions = (0..QUESTIONS).filter_map(|index| question(&mut numbers, index)).collect();
    Questions { runtime, plugin, asked: questions }
}

fn question(numbers: &mut Numbers, index: usize) -> Option<Question> {
    // The days that calendars are wrong about come first.
    let first = numbers.one_of(
        &[(2026, 1, 31), (2028, 1, 30), (2027, 2, 1), (2028, 2, 1), (2026, 11, 1), (2026, 3, 29)],
        (2026, 11, 1),
    );
    let start = NaiveDate::from_ymd_opt(first.0, first.1, first.2)?;
    let end = start.checked_add_months(Months::new(numbers.one_of(&[1, 1, 1, 3, 12], 1)))?;
    let days = u64::try_from(end.signed_duration_since(start).num_days()).ok()?;
    let (mut from, mut until) = (0, days);
    match index % 5 {
        0 => {}
        1 => until = 1 + numbers.below(days - 1),
        2 => from = 1 + numbers.below(days - 1),
        3 => {
            from = numbers.below(days);
            until = from + 1 + numbers.below(days - from);
        }
        _ => until = 1,
    }
    let currency = Currency::parse(numbers.one_of(&["RUB", "RUB", "JPY", "KWD"], "RUB")).ok()?;
    let price = numbers.one_of(&[0, 1, 2, 99, 100_000, 999_999_999_999], 59_000) + numbers.minor(1_000);
    let billed = if numbers.below(2) == 0 { 0 } else { price };
    let credited = if billed > 0 && numbers.below(3) == 0 { numbers.minor(billed + 1) } else { 0 };
    let day = |count| start.checked_add_days(Days::new(count));
    Some(Question {
        line: format!("line-{index}"),
        price: Money::new(price, currency),
        period: Period::try_new(start, end).ok()?,
        used: Period::try_new(day(from)?, day(until)?).ok()?,
        current_day: numbers.one_of(CurrentDay::ALL, CurrentDay::New),
        billed: Money::new(billed, currency),
        credited: Money::new(credited, currency),
    })
}

impl Subject for Questions<'_> {
    type Answer = Share;

    fn len(&self) -> usize {
        self.asked.len()
    }

    fn ask(&self, ctx: &CallContext, questions: &[usize]) -> Call<Vec<Share>> {
        let asked: Vec<Question> = questions.iter().filter_map(|&at| self.asked.get(at).cloned()).collect();
        self.runtime.prorate(self.plugin, ctx, &asked)
    }

    fn wrong(&self, question: usize, answer: &Share) -> Option<String> {
        let question = self.asked.get(question)?;
        proration::check(question, answer).err().map(|violation| violation.to_string())
    }

    fn wrong_together(&self, _: &[(usize, Share)]) -> Option<String> {
        None
    }
}
