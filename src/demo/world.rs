//! What people have: operating systems, devices and languages, in believable shares.

use crate::model::{Country, Platform};

/// How a person uses the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In a window.
    Window,
    /// By commands.
    Terminal,
    /// On a telephone or tablet, which says who it is.
    Phone,
}

/// One kind of machine.
#[derive(Debug)]
pub(super) struct System {
    pub(super) weight: u32,
    pub(super) form: Form,
    /// As events have it.
    pub(super) name: &'static str,
    pub(super) platform: Platform,
    pub(super) versions: &'static [(&'static str, u32)],
    pub(super) archs: &'static [(&'static str, u32)],
    /// Models, or maker and kind of a telephone.
    pub(super) devices: &'static [(&'static str, u32)],
    /// How likely somebody who has the app open makes a note, then shares one, then pays.
    pub(super) funnel: [f64; 3],
}

/// A language and region, with the zone that its people live by.
#[derive(Debug)]
pub(super) struct Locale {
    pub(super) weight: u32,
    pub(super) name: &'static str,
    pub(super) zone: &'static str,
}

impl Locale {
    /// The country that its people send from.
    pub(super) fn country(&self) -> Option<Country> {
        self.name.split_once('-').and_then(|(_, region)| Country::parse(region))
    }
}

const PCS: &[(&str, u32)] = &[
    ("Lenovo ThinkPad T14", 24),
    ("Dell Latitude 5440", 20),
    ("HP EliteBook 840", 16),
    ("Microsoft Surface Laptop 6", 9),
    ("ASUS Zenbook 14", 9),
    ("Framework Laptop 13", 5),
    ("Acer Aspire 5", 8),
    ("MSI B650", 9),
];
const MACS: &[(&str, u32)] =
    &[("MacBookPro18,3", 22), ("Mac14,2", 28), ("Mac15,6", 20), ("Macmini9,1", 10), ("iMac21,1", 8), ("Mac16,1", 12)];
const MACOS: &[(&str, u32)] = &[("15.6", 46), ("15.3", 17), ("14.7", 24), ("13.7", 13)];
const LINUX: &[(&str, u32)] = &[
    ("Ubuntu 24.04", 38),
    ("Debian 12", 16),
    ("Fedora 42", 18),
    ("Arch Linux", 16),
    ("NixOS 25.05", 5),
    ("Ubuntu 22.04", 7),
];

pub(super) static SYSTEMS: [System; 7] = [
    System {
        weight: 38,
        form: Form::Window,
        name: "windows",
        platform: Platform::Windows,
        versions: &[("10.0.26100", 40), ("10.0.22631", 34), ("10.0.19045", 26)],
        archs: &[("x86_64", 94), ("aarch64", 6)],
        devices: PCS,
        funnel: [0.46, 0.17, 0.05],
    },
    System {
        weight: 24,
        form: Form::Window,
        name: "macos",
        platform: Platform::Macos,
        versions: MACOS,
        archs: &[("aarch64", 81), ("x86_64", 19)],
        devices: MACS,
        funnel: [0.56, 0.25, 0.11],
    },
    System {
        weight: 8,
        form: Form::Window,
        name: "linux",
        platform: Platform::Linux,
        versions: LINUX,
        archs: &[("x86_64", 91), ("aarch64", 9)],
        devices: PCS,
        funnel: [0.58, 0.13, 0.02],
    },
    System {
        weight: 7,
        form: Form::Terminal,
        name: "linux",
        platform: Platform::Linux,
        versions: LINUX,
        archs: &[("x86_64", 84), ("aarch64", 16)],
        devices: PCS,
        funnel: [0.5, 0.1, 0.02],
    },
    System {
        weight: 5,
        form: Form::Terminal,
        name: "macos",
        platform: Platform::Macos,
        versions: MACOS,
        archs: &[("aarch64", 88), ("x86_64", 12)],
        devices: MACS,
        funnel: [0.5, 0.12, 0.04],
    },
    System {
        weight: 11,
        form: Form::Phone,
        name: "iOS",
        platform: Platform::Ios,
        versions: &[("18.6", 58), ("18.1", 22), ("17.7", 20)],
        archs: &[],
        devices: &[("Apple phone", 82), ("Apple tablet", 18)],
        funnel: [0.34, 0.16, 0.08],
    },
    System {
        weight: 7,
        form: Form::Phone,
        name: "Android",
        platform: Platform::Android,
        versions: &[("15", 44), ("14", 33), ("13", 23)],
        archs: &[],
        devices: &[("Samsung phone", 46), ("Google phone", 21), ("Xiaomi phone", 24), ("Samsung tablet", 9)],
        funnel: [0.3, 0.09, 0.03],
    },
];

pub(super) static LOCALES: [Locale; 18] = [
    Locale { weight: 17, name: "en-US", zone: "America/New_York" },
    Locale { weight: 11, name: "en-US", zone: "America/Los_Angeles" },
    Locale { weight: 6, name: "en-US", zone: "America/Chicago" },
    Locale { weight: 8, name: "en-GB", zone: "Europe/London" },
    Locale { weight: 13, name: "de-DE", zone: "Europe/Berlin" },
    Locale { weight: 3, name: "de-CH", zone: "Europe/Zurich" },
    Locale { weight: 6, name: "fr-FR", zone: "Europe/Paris" },
    Locale { weight: 4, name: "es-ES", zone: "Europe/Madrid" },
    Locale { weight: 3, name: "it-IT", zone: "Europe/Rome" },
    Locale { weight: 2, name: "nl-NL", zone: "Europe/Amsterdam" },
    Locale { weight: 2, name: "pl-PL", zone: "Europe/Warsaw" },
    Locale { weight: 2, name: "sv-SE", zone: "Europe/Stockholm" },
    Locale { weight: 6, name: "pt-BR", zone: "America/Sao_Paulo" },
    Locale { weight: 6, name: "ja-JP", zone: "Asia/Tokyo" },
    Locale { weight: 3, name: "ko-KR", zone: "Asia/Seoul" },
    Locale { weight: 3, name: "zh-TW", zone: "Asia/Taipei" },
    Locale { weight: 3, name: "en-IN", zone: "Asia/Kolkata" },
    Locale { weight: 2, name: "en-AU", zone: "Australia/Sydney" },
];

/// Given and family names of those who tell them.
pub(super) const GIVEN: [&str; 24] = [
    "Mila",
    "Noah",
    "Aiko",
    "Jonas",
    "Camille",
    "Diego",
    "Priya",
    "Oskar",
    "Lena",
    "Mateo",
    "Yuna",
    "Elif",
    "Hugo",
    "Sofia",
    "Ravi",
    "Ines",
    "Tom\u{e1}s",
    "Greta",
    "Kenji",
    "Amara",
    "Finn",
    "Zo\u{eb}",
    "Marek",
    "Ada",
];
pub(super) const FAMILY: [&str; 20] = [
    "Berger",
    "Okafor",
    "Tanaka",
    "Keller",
    "Moreau",
    "Silva",
    "Nair",
    "Lindqvist",
    "Novak",
    "Rossi",
    "Kim",
    "Demir",
    "Walker",
    "Garcia",
    "Iyer",
    "Costa",
    "Sato",
    "Hansen",
    "Reid",
    "Lovelace",
];
