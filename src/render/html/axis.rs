//! What lies in time: certificates and when they are valid (events are in a module of their own). It is a table whose last
//! column is a bar on a common axis, so that it can be read without the drawing too.

use jiff::Timestamp;

use super::markup::Markup;
use crate::render::human::words::Words;
use crate::report::CertificateSummary;

/// Rows of a table; what is left out is counted.
pub(super) const ROWS: usize = 300;
/// Units of a bar's drawing.
const WIDTH: f64 = 1000.0;
/// Days before its end in which a certificate is marked.
const SOON: i64 = 30;
const YEAR: i64 = 365 * 86_400;

/// A stretch of time, in seconds, that a drawing's width stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    pub from: i64,
    pub to: i64,
}

impl Axis {
    /// From the first to the last of the times, and no wider than the limits.
    pub fn of(times: impl Iterator<Item = i64> + Clone, limits: (i64, i64)) -> Axis {
        let from = times.clone().min().unwrap_or_default().max(limits.0);
        let to = times.max().unwrap_or_default().min(limits.1);
        Axis { from, to: to.max(from.saturating_add(1)) }
    }

    /// Where a time is, within the drawing.
    fn place(self, time: i64) -> f64 {
        let time = time.clamp(self.from, self.to);
        (time - self.from) as f64 / (self.to - self.from) as f64 * WIDTH
    }
}

pub(super) fn bar(axis: Axis, from: i64, to: i64, now: i64, class: &'static str, page: &mut Markup) {
    let (start, end) = (axis.place(from), axis.place(to));
    page.raw(
        "<svg class=\"bar\" viewBox=\"0 0 1000 14\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"",
    );
    page.raw(class).raw("\" x=\"").at(start).raw("\" y=\"2\" height=\"10\" width=\"").at((end - start).max(4.0));
    page.raw("\"/><rect class=\"now\" x=\"")
        .at((axis.place(now) - 1.0).max(0.0))
        .raw("\" y=\"0\" height=\"14\" width=\"2\"/></svg>");
}

/// Certificates, those that end first at the top.
pub(super) fn certificates(found: &[CertificateSummary], at: Timestamp, words: Words, page: &mut Markup) {
    let now = at.as_second();
    let mut sorted: Vec<&CertificateSummary> = found.iter().collect();
    sorted.sort_by_key(|certificate| certificate.not_after);
    let times = sorted.iter().flat_map(|one| [one.not_before.as_second(), one.not_after.as_second()]);
    let axis = Axis::of(times.chain([now]), (now.saturating_sub(6 * YEAR), now.saturating_add(12 * YEAR)));
    page.raw("<div class=\"wide\" tabindex=\"0\"><table class=\"times\"><thead><tr><th>");
    page.text(words.pick("Certificate", "证书"))
        .raw("</th><th>")
        .text(words.pick("Valid from", "生效"))
        .raw("</th><th>");
    page.text(words.pick("until", "到期"))
        .raw("</th><th class=\"axis\"><span>")
        .text(&date(axis.from))
        .raw("</span><span>");
    page.text(&date(axis.to)).raw("</span></th></tr></thead><tbody>");
    for certificate in sorted.iter().take(ROWS) {
        let (from, to) = (certificate.not_before.as_second(), certificate.not_after.as_second());
        let (class, state) = if to < now {
            ("expired", words.pick("expired", "已过期"))
        } else if from > now {
            ("future", words.pick("not yet valid", "尚未生效"))
        } else if to - now < SOON * 86_400 {
            ("soon", words.pick("ends soon", "即将到期"))
        } else {
            ("valid", "")
        };
        page.raw("<tr><td><code>").text(&certificate.host).raw(":").text(&certificate.path).raw("</code><br><small>");
        page.text(&certificate.subject).raw("</small></td><td>").text(&date(from)).raw("</td><td>").text(&date(to));
        page.raw(" <strong>").text(state).raw("</strong></td><td class=\"axis\">");
        bar(axis, from, to, now, class, page);
        page.raw("</td></tr>");
    }
    page.raw("</tbody></table></div>");
    left_out(sorted.len(), words, page);
}

pub(super) fn left_out(count: usize, words: Words, page: &mut Markup) {
    if count > ROWS {
        page.raw("<p>").text(&words.count(count - ROWS, "more row", "more rows", "行未显示")).raw("</p>");
    }
}

fn date(second: i64) -> String {
    time(second).chars().take_while(|character| *character != 'T').collect()
}

pub(super) fn time(second: i64) -> String {
    Timestamp::from_second(second).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_within_the_drawing() {
        for (times, limits, time, expected) in [
            (vec![0, 100], (i64::MIN, i64::MAX), 50, 500.0),
            (vec![0, 100], (i64::MIN, i64::MAX), 500, 1000.0),
            (vec![0, 100], (50, 100), 0, 0.0),
            (vec![7], (i64::MIN, i64::MAX), 7, 0.0),
            (vec![], (i64::MIN, i64::MAX), 7, 1000.0),
            (vec![-377_705_023_201, 253_402_207_200], (0, 100), 50, 500.0),
        ] {
            assert_eq!(Axis::of(times.iter().copied(), limits).place(time), expected, "{times:?} {time}");
        }
    }
}
