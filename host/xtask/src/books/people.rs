//! Invented customers: names put together from common parts, addresses in a town that does not exist.

use super::{SYSTEM, major, requisites, splitmix::SplitMix};

/// What a customer is in law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Firm,
    Proprietor,
    Person,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Firm => "ЮЛ",
            Self::Proprietor => "ИП",
            Self::Person => "ФЛ",
        }
    }
}

/// One row of `customers.csv`.
#[derive(Debug, Clone)]
pub struct Customer {
    pub name: String,
    pub kind: Kind,
    pub balance: String,
    pub external_id: String,
    pub inn: String,
    pub kpp: String,
    pub ogrn: String,
    pub email: String,
    pub phone: String,
    pub address: String,
}

impl Customer {
    /// The fields in the order of the header.
    pub fn fields(&self) -> [&str; 11] {
        [
            &self.name,
            self.kind.text(),
            &self.balance,
            &self.external_id,
            SYSTEM,
            &self.inn,
            &self.kpp,
            &self.ogrn,
            &self.email,
            &self.phone,
            &self.address,
        ]
    }

    /// Whether it buys what firms buy.
    pub fn is_firm(&self) -> bool {
        self.kind != Kind::Person
    }
}

/// The customer with this number, from 1.
pub fn customer(index: u32, random: &mut SplitMix) -> Customer {
    let kind = match random.weighted(&[58, 28, 14]) {
        0 => Kind::Person,
        1 => Kind::Firm,
        _ => Kind::Proprietor,
    };
    let office = 1 + random.below(40);
    let registered = 3 + random.below(22);
    let (inn, kpp, ogrn) = match kind {
        Kind::Firm => {
            let inn = requisites::inn_of_firm(index, office);
            let kpp = format!("{}01001", &inn[..4]);
            (inn, kpp, requisites::ogrn(registered, index))
        }
        Kind::Proprietor => {
            (requisites::inn_of_person(index, office), String::new(), requisites::ogrnip(registered, index))
        }
        Kind::Person if random.below(2) == 0 => {
            (requisites::inn_of_person(index, office), String::new(), String::new())
        }
        Kind::Person => Default::default(),
    };
    let name = match kind {
        Kind::Person => person(random),
        Kind::Proprietor => format!("ИП {}", person(random)),
        Kind::Firm => firm(index, random),
    };
    let has_email = random.below(10) > 0;
    Customer {
        name,
        kind,
        balance: major(balance_minor(kind, random)),
        external_id: format!("AB-{index:05}"),
        inn,
        kpp,
        ogrn,
        email: if has_email { format!("abonent{index:05}@example.org") } else { String::new() },
        // The code 000 is given to nobody.
        phone: format!("+7000{:07}", 1_000_000 + index),
        address: address(random),
    }
}

/// An opening balance in kopecks: firms mostly start even, persons carry small credits and, one in six, a debt.
fn balance_minor(kind: Kind, random: &mut SplitMix) -> i64 {
    let (even_percent, most) = if kind == Kind::Firm { (70, 2_500_000) } else { (25, 320_000) };
    if random.below(100) < even_percent {
        return 0;
    }
    let amount = i64::try_from(1 + random.below(most)).unwrap_or_default();
    if random.below(6) == 0 { -(amount / 4) } else { amount }
}

fn person(random: &mut SplitMix) -> String {
    let (given, patronymic, ending) = if random.below(2) == 0 {
        (random.pick(&GIVEN_MALE), random.pick(&PATRONYMICS_MALE), "")
    } else {
        (random.pick(&GIVEN_FEMALE), random.pick(&PATRONYMICS_FEMALE), "а")
    };
    format!("{}{ending} {given} {patronymic}", random.pick(&SURNAMES))
}

fn firm(index: u32, random: &mut SplitMix) -> String {
    let (root, tail) = (random.pick(&FIRM_ROOTS), random.pick(&FIRM_TAILS));
    match random.weighted(&[70, 8, 6, 6, 5, 5]) {
        0 => format!("ООО \"{root}{tail}\""),
        1 => format!("АО \"{root}{tail}\""),
        2 => format!("ТСЖ \"{}, {}\"", random.pick(&STREETS), 1 + random.below(120)),
        3 => format!("ООО «{root} — {}»", random.pick(&TRADES)),
        // A separator inside a name is what breaks a reader that splits lines by hand.
        4 => format!("ООО \"{root}; {}\"", random.pick(&TRADES)),
        _ => format!("МБОУ \"Школа № {}\"", 1 + index),
    }
}

fn address(random: &mut SplitMix) -> String {
    let (town, street, house) = (random.pick(&TOWNS), random.pick(&STREETS), 1 + random.below(140));
    if random.below(3) == 0 {
        format!("{town}, ул {street}, д {house}")
    } else {
        format!("{town}, ул {street}, д {house}, кв {}", 1 + random.below(240))
    }
}

const SURNAMES: [&str; 36] = [
    "Абрамов",
    "Березин",
    "Васин",
    "Ветров",
    "Гордеев",
    "Громов",
    "Дёмин",
    "Дроздов",
    "Ежов",
    "Жданов",
    "Зимин",
    "Зорин",
    "Игнатов",
    "Кольцов",
    "Костров",
    "Лаптев",
    "Лукин",
    "Мельников",
    "Муравьёв",
    "Назаров",
    "Осипов",
    "Панов",
    "Родионов",
    "Рыбаков",
    "Саблин",
    "Селезнёв",
    "Тарасов",
    "Туманов",
    "Уваров",
    "Фролов",
    "Хохлов",
    "Цветков",
    "Чагин",
    "Шубин",
    "Щеглов",
    "Юдин",
];
const GIVEN_MALE: [&str; 14] = [
    "Артём",
    "Борис",
    "Вадим",
    "Глеб",
    "Денис",
    "Егор",
    "Захар",
    "Игорь",
    "Константин",
    "Лев",
    "Матвей",
    "Никита",
    "Пётр",
    "Семён",
];
const GIVEN_FEMALE: [&str; 14] = [
    "Алёна",
    "Вера",
    "Галина",
    "Дарья",
    "Евгения",
    "Жанна",
    "Зоя",
    "Ирина",
    "Ксения",
    "Лидия",
    "Марина",
    "Нина",
    "Полина",
    "Софья",
];
const PATRONYMICS_MALE: [&str; 10] = [
    "Андреевич",
    "Викторович",
    "Григорьевич",
    "Ефимович",
    "Иванович",
    "Кириллович",
    "Львович",
    "Павлович",
    "Семёнович",
    "Юрьевич",
];
const PATRONYMICS_FEMALE: [&str; 10] = [
    "Андреевна",
    "Викторовна",
    "Григорьевна",
    "Ефимовна",
    "Ивановна",
    "Кирилловна",
    "Львовна",
    "Павловна",
    "Семёновна",
    "Юрьевна",
];
const FIRM_ROOTS: [&str; 16] = [
    "Аист",
    "Бирюза",
    "Вертикаль",
    "Гранит",
    "Донник",
    "Ельник",
    "Жемчуг",
    "Инжир",
    "Каравелла",
    "Ладога",
    "Маяк",
    "Норд",
    "Омега",
    "Причал",
    "Рубеж",
    "Янтарь",
];
const FIRM_TAILS: [&str; 8] = ["", "-Сервис", "-Строй", "-Трейд", " Плюс", "-М", "-Логистика", " и Ко"];
const TRADES: [&str; 6] = ["пекарня", "автосервис", "аптека", "мебель", "проекты и сметы", "стоматология"];
const TOWNS: [&str; 5] = ["г Светлоборск", "г Новокаменка", "п Ясный Яр", "г Верхнеозёрск", "с Подгорье"];
const STREETS: [&str; 14] = [
    "Береговая",
    "Вишнёвая",
    "Дачная",
    "Зелёная",
    "Ключевая",
    "Луговая",
    "Моховая",
    "Озёрная",
    "Песчаная",
    "Речная",
    "Сиреневая",
    "Тихая",
    "Цветочная",
    "Южная",
];
