//! Funnels as they stand in an address.

use std::sync::Arc;

use super::filters;
use crate::model::{Dimension, Filters, FunnelAsk, FunnelStep, Keep, Millis, Period};

/// What a funnel asks, but for its period and the filters of all steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunnelShape {
    /// The steps, as many as were named.
    pub steps: Vec<FunnelStep>,
    /// Longest time from the first step to the last, in milliseconds.
    pub window: i64,
    /// What users are told apart by.
    pub by: Option<Dimension>,
}

/// Why an address does not describe a funnel, in words for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunnelProblem {
    /// Fewer steps than a funnel has.
    #[error("A funnel has two steps at least.")]
    TooFew,
    /// More steps than a funnel has.
    #[error("A funnel has eight steps at the most.")]
    TooMany,
    /// A name that no event can have.
    #[error("A step is named like its event, in at most 200 bytes.")]
    Name,
    /// No window, or one that is too short or too long.
    #[error("The time for all steps is written like 30m, 12h or 7d: a minute at least, ninety days at the most.")]
    Window,
    /// Nothing to tell users apart by.
    #[error("There is nothing of that name to tell users apart by.")]
    Split,
    /// A filter of a step that looks at nothing.
    #[error("A condition of a step needs something to look at.")]
    Condition,
}

/// The window of an address that names none.
pub const WINDOW: i64 = 7 * Millis::DAY;

/// Longest name of an event in bytes.
const NAME: usize = 200;

impl FunnelShape {
    /// Reads the parameters of an address, in their order. Each `step` names an event; steps without a name are left out.
    /// `2.version=1.0` is a condition of the second `step`, written as [`filters::parse`] reads it; beside a step may
    /// stand a `where` that names a dimension and an `is` with its value, as a form has them. `window` is the longest time, `split` what
    /// users are told apart by.
    pub fn parse<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, FunnelProblem> {
        let (mut names, mut wheres, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut conditions: Vec<(usize, &str, &str)> = Vec::new();
        let (mut window, mut by) = (WINDOW, None);
        for (name, value) in pairs {
            match name {
                "step" if names.len() >= 4 * FunnelAsk::MOST => return Err(FunnelProblem::TooMany),
                "step" => names.push(value.trim()),
                "where" => wheres.push(value),
                "is" => values.push(value.trim()),
                "window" if !value.trim().is_empty() => window = parse_window(value).ok_or(FunnelProblem::Window)?,
                "split" if !value.is_empty() => by = Some(dimension(value).ok_or(FunnelProblem::Split)?),
                name => {
                    if let Some((step, condition)) = name.split_once('.')
                        && let Ok(step) = step.parse::<usize>()
                    {
                        conditions.push((step, condition, value));
                    }
                }
            }
        }
        let mut steps = Vec::new();
        for (place, name) in names.into_iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if name.len() > NAME || name.contains('\0') {
                return Err(FunnelProblem::Name);
            }
            let own = conditions.iter().filter(|(step, _, _)| *step == place + 1);
            let mut kept = filters::parse(own.map(|(_, condition, value)| (*condition, *value)));
            if let Some(name) = wheres.get(place).filter(|name| !name.is_empty()) {
                let value = values.get(place).filter(|value| !value.is_empty()).map(|value| Arc::from(*value));
                kept = kept.with(dimension(name).ok_or(FunnelProblem::Condition)?, Keep::Is, value);
            }
            steps.push(FunnelStep { event: name.into(), filters: kept });
        }
        match steps.len() {
            too_many if too_many > FunnelAsk::MOST => Err(FunnelProblem::TooMany),
            _ => Ok(Self { steps, window, by }),
        }
    }

    /// The parameters that lead here.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<_> = self.steps.iter().map(|step| ("step".to_owned(), step.event.to_string())).collect();
        for (step, place) in self.steps.iter().zip(1..) {
            let own = filters::pairs(&step.filters).into_iter();
            pairs.extend(own.map(|(name, value)| (format!("{place}.{name}"), value)));
        }
        if self.window != WINDOW {
            pairs.push(("window".to_owned(), window(self.window)));
        }
        pairs.extend(self.by.iter().map(|by| ("split".to_owned(), by.to_string())));
        pairs
    }

    /// The question of a period, where there are steps enough.
    pub fn ask(&self, period: Period, filters: Filters) -> Result<FunnelAsk, FunnelProblem> {
        let Self { steps, window, by } = self.clone();
        let ask = FunnelAsk { steps, window, period, filters, by };
        if ask.fits() { Ok(ask) } else { Err(FunnelProblem::TooFew) }
    }
}

/// A window as it stands in an address: `30m`, `12h`, `7d`.
pub fn window(ms: i64) -> String {
    let units = [(Millis::DAY, 'd'), (Millis::HOUR, 'h')];
    match units.into_iter().find(|(unit, _)| ms % unit == 0) {
        Some((unit, letter)) => format!("{}{letter}", ms / unit),
        None => format!("{}m", ms / Millis::MINUTE),
    }
}

fn parse_window(text: &str) -> Option<i64> {
    let text = text.trim();
    let unit = match text.chars().last()? {
        'd' => Millis::DAY,
        'h' => Millis::HOUR,
        'm' => Millis::MINUTE,
        _ => return None,
    };
    let ms = text[..text.len() - 1].parse::<u32>().ok().map(|count| i64::from(count) * unit)?;
    (FunnelAsk::SHORTEST..=FunnelAsk::LONGEST).contains(&ms).then_some(ms)
}

fn dimension(name: &str) -> Option<Dimension> {
    Dimension::parse(name).filter(|dimension| *dimension != Dimension::Total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<FunnelShape, FunnelProblem> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        FunnelShape::parse(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    fn write(shape: &FunnelShape) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(shape.pairs()).finish()
    }

    #[test]
    fn addresses_and_funnels_lead_to_each_other() {
        for (query, canonical) in [
            ("step=a&step=b", "step=a&step=b"),
            ("range=7d&step=+a+&step=&step=b&window=7d&split=", "step=a&step=b"),
            ("step=a&step=b&window=24h&split=version", "step=a&step=b&window=1d&split=version"),
            ("step=a&step=b&window=90m", "step=a&step=b&window=90m"),
            ("step=a&step=b&2.version=1&2.prop%3Aplan%21=pro", "step=a&step=b&2.version=1&2.prop%3Aplan%21=pro"),
            ("step=a&where=&is=&step=b&where=version&is=1", "step=a&step=b&2.version=1"),
            ("step=a&step=&step=b&3.version=1&2.system=x&9.arch=y", "step=a&step=b&2.version=1"),
            ("step=a&step=b&2.nothing=1&x.version=1&version=2", "step=a&step=b"),
            ("", ""),
        ] {
            let shape = read(query).unwrap();
            assert_eq!(write(&shape), canonical, "{query}");
            assert_eq!(read(canonical).unwrap(), shape, "{query}");
        }
    }

    #[test]
    fn senseless_addresses_say_what_is_wrong() {
        let long = format!("step=a&step={}", "b".repeat(201));
        for (query, problem) in [
            ("step=a&step=b&window=soon", FunnelProblem::Window),
            ("step=a&step=b&window=30s", FunnelProblem::Window),
            ("step=a&step=b&window=91d", FunnelProblem::Window),
            ("step=a&step=b&window=é", FunnelProblem::Window),
            ("step=a&step=b&split=total", FunnelProblem::Split),
            ("step=a&where=nothing", FunnelProblem::Condition),
            (long.as_str(), FunnelProblem::Name),
            (&"step=a&".repeat(9), FunnelProblem::TooMany),
            (&"step=&".repeat(33), FunnelProblem::TooMany),
        ] {
            assert_eq!(read(query), Err(problem), "{query}");
        }
    }

    #[test]
    fn one_step_is_no_funnel() {
        let midnight = |day| crate::model::LocalTime { day, hour: 0 };
        let range = crate::model::TimeRange { from: Millis(0), to: Millis(Millis::DAY) };
        let period = Period { range, first: midnight(0), next: midnight(1) };
        for (query, fits) in [("step=a", false), ("", false), ("step=a&step=a", true)] {
            assert_eq!(read(query).unwrap().ask(period, Filters::none()).is_ok(), fits, "{query}");
        }
    }
}
