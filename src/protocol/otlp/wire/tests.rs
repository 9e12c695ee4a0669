//! What is read of requests in either form, good, odd and hostile.

use super::*;

/// What was read, as text.
#[derive(Default)]
struct Heard {
    told: Vec<String>,
    counted: u64,
}

impl<'a> Sink<'a> for Heard {
    fn resource(&mut self, attributes: Vec<Attribute<'a>>) {
        self.told.push(format!("resource {}", json(attributes)));
    }

    fn record(&mut self, scope: Cow<'a, str>, record: Result<Record<'a>, Unreadable>) -> Result<(), Unreadable> {
        self.told.push(match record {
            Err(unreadable) => format!("{scope}: {unreadable:?}"),
            Ok(Record { event, time, severity, body, attributes, .. }) => {
                let body = serde_json::to_string(&body).unwrap();
                format!("{scope}: {event:?} at {time}, {severity}, {body}, {}", json(attributes))
            }
        });
        if self.told.len() > 100 { Err(Unreadable::TooMany) } else { Ok(()) }
    }

    fn count(&mut self, more: u64) {
        self.counted += more;
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

fn json(attributes: Vec<Attribute<'_>>) -> String {
    serde_json::to_string(&Value::Map(attributes)).unwrap()
}

const BOUNDS: Bounds = Bounds { bytes: 4_000, depth: 8, elements: 1_000 };

fn hear(body: &[u8], form: Form, signal: Signal) -> Result<(Vec<String>, u64, Form), Unreadable> {
    let mut heard = Heard::default();
    let form = read(body, (form, signal), BOUNDS, &mut heard)?;
    Ok((heard.told, heard.counted, form))
}

fn logs(body: &[u8], form: Form) -> Result<Vec<String>, Unreadable> {
    hear(body, form, Signal::Logs).map(|(told, _, _)| told)
}

/// A field of a message that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

fn eight(number: u8, value: u64) -> Vec<u8> {
    [vec![number << 3 | 1], value.to_le_bytes().to_vec()].concat()
}

fn pair(name: &str, value: &[u8]) -> Vec<u8> {
    [field(1, name.as_bytes()), field(2, value)].concat()
}

/// A request of one group, resource and scope.
fn request(items: &[Vec<u8>]) -> Vec<u8> {
    let resource = field(1, &field(1, &pair("service.name", &field(1, b"shop"))));
    let items: Vec<u8> = items.iter().flat_map(|item| field(2, item)).collect();
    let scope = field(2, &[field(1, &field(1, b"ui")), items].concat());
    field(1, &[resource, scope].concat())
}

#[test]
fn every_kind_of_value_is_read_in_both_forms() {
    let deep = field(6, &field(1, &pair("list", &field(5, &[field(1, &field(1, b"a")), field(1, &[])].concat()))));
    let minimum = [vec![3 << 3], vec![0x80; 9], vec![1]].concat();
    let record = [
        eight(1, 1_700_000_000_000_000_001),
        vec![2 << 3, 9],
        field(5, &field(1, "größe".as_bytes())),
        field(6, &pair("bool", &[2 << 3, 1])),
        field(6, &pair("int", &minimum)),
        field(6, &pair("double", &eight(4, 1.5_f64.to_bits()))),
        field(6, &pair("nan", &eight(4, f64::NAN.to_bits()))),
        field(6, &pair("endless", &eight(4, f64::NEG_INFINITY.to_bits()))),
        field(6, &pair("bytes", &field(7, &[1, 2, 255]))),
        field(6, &pair("map", &deep)),
        field(6, &pair("bool", &[2 << 3, 0])),
        field(6, &pair("none", &[])),
        field(6, &pair("", &[])),
        field(12, b"saved"),
        // What is not known is passed over, whatever its type: the fields 20 and 21.
        vec![0xa0, 0x01, 5],
        vec![0xad, 0x01, 1, 2, 3, 4],
    ]
    .concat();
    let told = [
        r#"resource {"service.name":"shop"}"#,
        concat!(
            r#"ui: "saved" at 1700000000000000001, 9, "größe", {"int":-9223372036854775808,"double":1.5,"nan":"NaN","#,
            r#""endless":"-Infinity","bytes":"AQL/","map":{"list":["a",null]},"bool":false,"none":null}"#
        ),
    ];
    assert_eq!(logs(&request(&[record]), Form::Protobuf).unwrap(), told);
    let json = r#"{"unknown":[1,{}],"resourceLogs":[{"scopeLogs":[{"logRecords":[{
        "timeUnixNano":"1700000000000000001","severityNumber":9,"body":{"stringValue":"größe"},"eventName":"saved",
        "attributes":[{"key":"bool","value":{"boolValue":true}},
            {"key":"int","value":{"intValue":"-9223372036854775808"}},{"key":"double","value":{"doubleValue":1.5}},
            {"key":"nan","value":{"doubleValue":"NaN"}},{"key":"endless","value":{"doubleValue":"-Infinity"}},
            {"key":"bytes","value":{"bytesValue":"AQL/"}},{"key":"map","value":{"kvlistValue":{"values":[
                {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{}]}}}]}}},
            {"key":"bool","value":{"boolValue":false}},{"key":"none","value":{}},{"key":"","value":{}}]}],
        "scope":{"name":"ui","version":null}}],"resource":{"attributes":[
            {"key":"service.name","value":{"stringValue":"shop"}}],"droppedAttributesCount":0}}]}"#;
    assert_eq!(logs(json.as_bytes(), Form::Json).unwrap(), told);
}

#[test]
fn json_is_read_as_exporters_write_it() {
    for (record, told) in [
        // JavaScript: numbers as they are, and empty objects.
        (
            r#"{"timeUnixNano":5,"body":{},"attributes":[{"key":"a","value":{"intValue":1}}]}"#,
            r#""" at 5, 0, null, {"a":1}"#,
        ),
        // Rust: text, 0 for what is not known, and null.
        (
            r#"{"timeUnixNano":"0","observedTimeUnixNano":"7","severityNumber":0,"body":null,"traceId":"","spanId":"",
                "attributes":[{"key":"a","value":{"intValue":"9223372036854775807"}}]}"#,
            r#""" at 0, 0, null, {"a":9223372036854775807}"#,
        ),
        // What has a wrong type is not there.
        (
            r#"{"timeUnixNano":{},"severityNumber":"x","body":[1],"eventName":5,"attributes":[3,"x",null,[1],
                {"key":1,"value":5},{"key":"b","value":"text"},{"key":"c"},{"value":{"intValue":1}}]}"#,
            r#""" at 0, 0, null, {"b":null,"c":null}"#,
        ),
        (r#"{"attributes":{"a":1},"severityNumber":99}"#, r#""" at 0, 0, null, {}"#),
        (
            r#"{"attributes":[{"key":"a","value":{"intValue":18446744073709551615}},
                {"key":"b","value":{"intValue":1.5}},{"key":"c","value":{"intValue":"x"}}]}"#,
            r#""" at 0, 0, null, {"a":"18446744073709551615","b":1.5,"c":"x"}"#,
        ),
    ] {
        let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#);
        assert_eq!(logs(body.as_bytes(), Form::Json).unwrap(), ["resource {}", &format!(": {told}")], "{record}");
    }
}

#[test]
fn one_bad_record_does_not_fail_the_others() {
    let good = field(12, b"saved");
    let cut = [good.clone(), vec![6 << 3 | 2, 200]].concat();
    let deep = field(5, &(0..9).fold(Vec::new(), |inner, _| field(5, &field(1, &inner))));
    let large = field(5, &field(1, &[b'x'; 4_000]));
    let told = logs(&request(&[cut, deep, large, good]), Form::Protobuf).unwrap();
    assert_eq!(told[1..], ["ui: Broken", "ui: Deep", "ui: Large", r#"ui: "saved" at 0, 0, null, {}"#]);
    let deep = format!(r#"{{"body":{}{{}}{}}}"#, r#"{"arrayValue":{"values":["#.repeat(50), "]}}".repeat(50));
    let large = format!(r#"{{"attributes":[{}0]}}"#, "0,".repeat(2_000));
    let body = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[5,{{"eventName":"\ud800"}},{deep},{large},{{}}]}}]}}]}}"#
    );
    let told = logs(body.as_bytes(), Form::Json).unwrap();
    assert_eq!(told[1..], [": Broken", ": Broken", ": Broken", ": Large", r#": "" at 0, 0, null, {}"#]);
}

#[test]
fn a_record_is_read_alike_among_good_ones_and_beside_a_bad_one() {
    let records = r#"{"eventName":"a","body":{"stringValue":"\u00e9"},"attributes":[{"key":"n","value":{"intValue":"7"}}]},
        {"timeUnixNano":1,"timeUnixNano":"2","severityNumber":"9","attributes":[{"value":{"kvlistValue":{"values":[{"key":"x",
            "value":{"doubleValue":1}}]}},"key":"map","more":[]}],"attributes":null,"more":{"a":[1,{}]}},{}"#;
    // Together they have more elements than one may have.
    let long = format!(r#"{{"attributes":[{}{{"key":"last","value":{{"boolValue":true}}}}]}}"#, "0,".repeat(1_500));
    for records in [records.to_owned(), format!("{long},{long},{long}")] {
        let body = |last: &str| format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}{last}]}}]}}]}}"#);
        let whole = logs(body("").as_bytes(), Form::Json).unwrap();
        let mut beside = logs(body(",5").as_bytes(), Form::Json).unwrap();
        assert_eq!(beside.pop().as_deref(), Some(": Broken"));
        assert_eq!(whole, beside);
        assert!(whole.len() == 4 && whole.iter().all(|told| !told.contains("Large")), "{whole:?}");
    }
}

#[test]
fn either_form_is_found_whatever_it_is_called() {
    let json = br#"{"resourceLogs":[{}]} {"resourceLogs":[{}]}"#;
    let protobuf = request(&[]);
    for (body, said, form, told) in [
        (&json[..], Form::Protobuf, Form::Json, 2),
        (&json[..], Form::Json, Form::Json, 2),
        (&protobuf, Form::Json, Form::Protobuf, 1),
        (&protobuf, Form::Protobuf, Form::Protobuf, 1),
        (b"", Form::Json, Form::Json, 0),
        (b"", Form::Protobuf, Form::Protobuf, 0),
        (b"{}", Form::Json, Form::Json, 0),
    ] {
        let (found, _, read) = hear(body, said, Signal::Logs).unwrap();
        assert_eq!((found.len(), read), (told, form), "{said:?}");
    }
    for body in [&b"["[..], b"[]", b"5", b"{", b"{} x", b"\xff\xff", b"\x0a\x05", b"\x0b\x0c", b"\x00\x01"] {
        for form in [Form::Json, Form::Protobuf] {
            assert_eq!(logs(body, form), Err(Unreadable::Broken), "{body:?}");
        }
    }
}

#[test]
fn spans_and_points_are_counted_and_exceptions_found() {
    let exception = [eight(1, 9), field(2, b"exception"), field(3, &pair("exception.type", &field(1, b"E")))].concat();
    let span = [field(5, b"load"), field(11, &field(2, b"cached")), field(11, &exception)].concat();
    let told = ["resource {\"service.name\":\"shop\"}", r#"ui: "exception" at 9, 17, null, {"exception.type":"E"}"#];
    let (found, counted, _) = hear(&request(&[span, Vec::new()]), Form::Protobuf, Signal::Traces).unwrap();
    assert_eq!((found.as_slice(), counted), (&told.map(str::to_owned)[..], 2));
    let json =
        br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
        "scopeSpans":[{"scope":{"name":"ui"},"spans":[{"name":"load","events":[{"name":"cached"},{"name":"exception",
        "timeUnixNano":"9","attributes":[{"key":"exception.type","value":{"stringValue":"E"}}]}]},5]}]}]}"#;
    let (found, counted, _) = hear(json, Form::Json, Signal::Traces).unwrap();
    assert_eq!((found.as_slice(), counted), (&told.map(str::to_owned)[..], 2));
    let points = [vec![], vec![]].map(|point: Vec<u8>| field(1, &point)).concat();
    let metrics = [field(7, &points), field(5, &points[..2]), field(1, b"name")];
    assert_eq!(hear(&request(&metrics), Form::Protobuf, Signal::Metrics).unwrap().1, 3);
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{},{}]}},
        {"exponentialHistogram":{"dataPoints":[{}]}},{"gauge":5},7]}]}]}"#;
    assert_eq!(hear(json, Form::Json, Signal::Metrics).unwrap().1, 3);
}

#[test]
fn lists_and_records_are_bounded() {
    let many = format!(r#"{{"resourceLogs":[{}{{}}]}}"#, "0,".repeat(1_000));
    assert_eq!(logs(many.as_bytes(), Form::Json), Err(Unreadable::TooMany));
    assert_eq!(logs(&request(&vec![Vec::new(); 200]), Form::Protobuf), Err(Unreadable::TooMany));
    let resource = field(1, &field(1, &field(1, &[b'x'; 4_000])));
    assert_eq!(logs(&resource, Form::Protobuf).unwrap(), ["resource {}"], "too large");
}

#[test]
fn no_bytes_make_it_panic() {
    let good = request(&[[eight(1, 1), field(6, &pair("a", &field(1, b"b"))), field(12, b"saved")].concat()]);
    for end in 0..good.len() {
        for flip in 0..8 {
            let mut bad = good[..=end].to_vec();
            bad[end] ^= 1 << flip;
            for signal in [Signal::Logs, Signal::Traces, Signal::Metrics] {
                _ = hear(&bad, Form::Protobuf, signal);
                _ = hear(&[&bad, &good[end..]].concat(), Form::Protobuf, signal);
            }
        }
    }
}
