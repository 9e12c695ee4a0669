//! Orders: how they are read, told, and put together.

use super::*;

const NOW: Millis = Millis(1_800_000_000_000);
const HERE: EnvironmentId = EnvironmentId(1);
const THERE: EnvironmentId = EnvironmentId(2);

fn names(all: &[&str]) -> Option<Arc<BTreeSet<String>>> {
    Some(Arc::new(all.iter().map(|name| (*name).to_owned()).collect()))
}

fn standing(environment: Option<EnvironmentId>, versions: VersionScope, order: Order) -> StandingOrder {
    StandingOrder { id: OrderId(1), environment, versions, order, since: NOW, member: "ada".to_owned() }
}

fn quiet(quiet: Quiet) -> Order {
    Order { quiet: Some(quiet), ..Order::default() }
}

#[test]
fn the_strictest_order_holds_in_everything() {
    let tenth = Order { sampling: Share::of(1_000), names: names(&["a", "b"]), ..Order::default() };
    let half = Order { sampling: Share::of(5_000), names: names(&["b", "c"]), flush_interval: Some(60), quiet: None };
    let slow = Order { flush_interval: Some(300), quiet: Some(Quiet::Paused(Some(NOW))), ..Order::default() };
    let old = VersionScope::Below("2.0.0".to_owned());
    let orders = Orders(vec![
        standing(None, VersionScope::All, tenth.clone()),
        standing(Some(HERE), VersionScope::All, half),
        standing(Some(HERE), old.clone(), slow),
        standing(Some(THERE), old, quiet(Quiet::Stopped)),
    ]);
    let both = Order { sampling: Share::of(1_000), names: names(&["b"]), flush_interval: Some(60), quiet: None };
    assert_eq!(orders.for_version(HERE, None, NOW), both);
    assert_eq!(orders.for_version(HERE, Some("2.0.0"), NOW), both);
    let slower = Order { flush_interval: Some(300), ..both.clone() };
    assert_eq!(orders.for_version(HERE, Some("1.9"), NOW), slower, "a pause that is over holds no more");
    let paused = Order { quiet: Some(Quiet::Paused(Some(NOW))), ..slower };
    assert_eq!(orders.for_version(HERE, Some("1.9"), NOW.plus(-1)), paused);
    assert_eq!(orders.for_version(THERE, Some("1.9"), NOW), Order { quiet: Some(Quiet::Stopped), ..tenth });
    assert!(Orders::default().for_version(HERE, Some("1.9"), NOW).is_empty());
}

#[test]
fn quiet_is_the_more_severe_the_longer() {
    let (soon, later) = (Quiet::Paused(Some(NOW.plus(1))), Quiet::Paused(Some(NOW.plus(2))));
    let rows = [soon, later, Quiet::Paused(None), Quiet::Stopped];
    for (place, severe) in rows.into_iter().enumerate() {
        for mild in &rows[..=place] {
            for (one, other) in [(*mild, severe), (severe, *mild)] {
                assert_eq!(quiet(one).and(&quiet(other)), quiet(severe));
            }
        }
    }
    assert_eq!((quiet(soon).paused_until(), quiet(Quiet::Stopped).paused_until()), (Some(NOW.plus(1)), None));
}

#[test]
fn two_lists_without_a_common_name_keep_nothing() {
    let list = |name| Order { names: names(&[name]), ..Order::default() };
    let none = list("a").and(&list("b"));
    assert_eq!(none.names, Some(Arc::default()));
    assert_eq!(none.withholds(Some("a"), || [0; 16]), Some(Withheld::Unlisted));
}

#[test]
fn events_are_withheld_for_the_first_reason_there_is() {
    let sample = Order { sampling: Share::of(5_000), names: names(&["a"]), ..Order::default() };
    let (inside, outside) = ([0; 16], [0xff; 16]);
    for (order, name, hash, why) in [
        (Order::default(), Some("z"), outside, None),
        (sample.clone(), Some("a"), inside, None),
        (sample.clone(), Some("a"), outside, Some(Withheld::Sampled)),
        (sample.clone(), Some("z"), outside, Some(Withheld::Unlisted)),
        (sample.clone(), None, inside, None),
        (sample.clone(), None, outside, Some(Withheld::Sampled)),
        (Order { quiet: Some(Quiet::Paused(None)), ..sample.clone() }, Some("z"), inside, Some(Withheld::Paused)),
        (Order { quiet: Some(Quiet::Stopped), ..sample }, Some("a"), inside, Some(Withheld::Stopped)),
    ] {
        assert_eq!(order.withholds(name, || hash), why, "{order:?} {name:?}");
    }
}

#[test]
fn orders_are_over_when_nothing_of_them_is_left() {
    let pause = quiet(Quiet::Paused(Some(NOW)));
    let more = Order { flush_interval: Some(5), ..pause.clone() };
    for (order, at, is_over) in [
        (pause.clone(), NOW.plus(-1), false),
        (pause, NOW, true),
        (more, NOW, false),
        (quiet(Quiet::Paused(None)), NOW, false),
        (quiet(Quiet::Stopped), NOW, false),
    ] {
        assert_eq!(standing(None, VersionScope::All, order.clone()).is_over(at), is_over, "{order:?}");
    }
}

#[test]
fn orders_are_told_in_words() {
    let time = |at: Millis| at.0.to_string();
    let all = Order {
        sampling: Share::of(250),
        names: names(&["b", "a"]),
        flush_interval: Some(60),
        quiet: Some(Quiet::Paused(Some(Millis(7)))),
    };
    assert_eq!(all.told(time), ["paused until 7", "a sample of 2.5%", "only a, b", "sent every 60 s"]);
    assert_eq!(quiet(Quiet::Stopped).told(time), ["stopped"]);
    assert_eq!(quiet(Quiet::Paused(None)).told(time), ["paused until it is lifted"]);
    assert!(Order::default().told(time).is_empty());
}

#[test]
fn lists_and_intervals_have_bounds() {
    assert_eq!(parse_names(" b \n\na\nb".lines()), Ok(names(&["a", "b"])));
    assert_eq!(parse_names("\n ".lines()), Ok(None));
    let many: Vec<String> = (0..=MOST_NAMES).map(|number| number.to_string()).collect();
    assert!(parse_names(many.iter().map(String::as_str)).is_err());
    assert!(parse_names(many[1..].iter().map(String::as_str)).is_ok());
    for name in ["x".repeat(201), "a\u{7f}b".to_owned()] {
        assert!(parse_names(std::iter::once(name.as_str())).is_err(), "{name}");
    }
    assert_eq!((parse_flush(" 60 "), parse_flush("3600")), (Ok(60), Ok(3_600)));
    for text in ["", "0", "3601", "-1", "1.5", "soon"] {
        assert!(parse_flush(text).is_err(), "{text}");
    }
}
