//! How a count differs from the count before it.

/// Which way a count went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More than before.
    Up,
    /// Fewer than before.
    Down,
    /// As many as before.
    Same,
    /// Some now, none before: no fraction says how much more that is.
    New,
}

/// The change of a count against an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Which way.
    pub direction: Direction,
    /// By which part of the earlier count, never negative; 0 where nothing changed, `None` where there was none.
    pub fraction: Option<f64>,
}

/// Compares a count with the one before; counts below zero are taken as zero.
pub fn compare(now: i64, before: i64) -> Change {
    let (now, before) = (now.max(0), before.max(0));
    match (now, before) {
        (0, 0) => Change { direction: Direction::Same, fraction: Some(0.0) },
        (_, 0) => Change { direction: Direction::New, fraction: None },
        _ => {
            let direction = match now.cmp(&before) {
                std::cmp::Ordering::Greater => Direction::Up,
                std::cmp::Ordering::Less => Direction::Down,
                std::cmp::Ordering::Equal => Direction::Same,
            };
            Change { direction, fraction: Some((now - before).unsigned_abs() as f64 / before as f64) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_a_part_of_the_earlier_count() {
        for (now, before, direction, fraction) in [
            (150, 100, Direction::Up, Some(0.5)),
            (50, 100, Direction::Down, Some(0.5)),
            (0, 7, Direction::Down, Some(1.0)),
            (7, 7, Direction::Same, Some(0.0)),
            (0, 0, Direction::Same, Some(0.0)),
            (3, 0, Direction::New, None),
            (3, -1, Direction::New, None),
            (300, 100, Direction::Up, Some(2.0)),
        ] {
            assert_eq!(compare(now, before), Change { direction, fraction }, "{now} after {before}");
        }
    }
}
