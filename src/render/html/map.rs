//! The topology as inline SVG: clients to the left, load balancers in the middle, the control plane to the right, and
//! addresses that no given host has at the edge.

use super::markup::Markup;
use crate::facts::topology::map::{State, Topology};
use crate::render::human::words::Words;
use crate::render::topology::graph::{Graph, Node};

/// Hosts that are drawn; those with a broken link come first.
const HOSTS: usize = 60;
/// Arrows that are drawn, broken ones first.
const ARROWS: usize = 600;
/// Broken links that are listed beneath.
const LISTED: usize = 200;

const BOX: f64 = 190.0;
const GAP: f64 = 130.0;
const ROW: f64 = 22.0;
const SPACE: f64 = 18.0;
const MARGIN: f64 = 12.0;

/// Where a node stands: the left end and the middle of its row.
#[derive(Debug, Clone, Copy)]
struct Spot {
    x: f64,
    y: f64,
    column: usize,
}

struct HostBox {
    host: usize,
    x: f64,
    y: f64,
    height: f64,
}

struct Drawing {
    boxes: Vec<HostBox>,
    /// By the graph's node; none for what is not drawn.
    spots: Vec<Option<Spot>>,
    width: f64,
    height: f64,
}

pub(super) fn render(topology: &Topology, words: Words, page: &mut Markup) {
    let graph = Graph::of(topology);
    let drawing = lay_out(topology, &graph);
    svg(topology, &graph, &drawing, words, page);
    let not_drawn = topology.hosts.len().saturating_sub(drawing.boxes.len());
    if not_drawn > 0 {
        page.raw("<p>")
            .text(&words.count(not_drawn, "host is not drawn", "hosts are not drawn", "台主机未画出"))
            .raw("</p>");
    }
    broken(topology, words, page);
}

/// The columns: clients, load balancers, the control plane.
fn column_of(roles: &[String]) -> usize {
    let has = |role: &str| roles.iter().any(|known| known == role);
    if has("control-plane") || has("etcd") {
        2
    } else if has("load-balancer") {
        1
    } else {
        0
    }
}

/// The column of addresses.
const OUTSIDE: usize = 3;

fn lay_out(topology: &Topology, graph: &Graph) -> Drawing {
    let host_of = |node: usize| match graph.nodes.get(node) {
        Some(Node::Component { host, .. }) => Some(*host),
        _ => None,
    };
    let broken: Vec<usize> = graph
        .arrows
        .iter()
        .filter(|arrow| arrow.state == State::Broken)
        .flat_map(|arrow| [host_of(arrow.from), host_of(arrow.to)])
        .flatten()
        .collect();
    let mut shown: Vec<usize> = (0..topology.hosts.len()).collect();
    if shown.len() > HOSTS {
        shown.sort_by_key(|host| !broken.contains(host));
        shown.truncate(HOSTS);
        shown.sort_unstable();
    }
    let columns = |host: &usize| topology.hosts.get(*host).map_or(0, |host| column_of(&host.roles));
    let outside: Vec<usize> = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| matches!(node, Node::Address(_)))
        .map(|(number, _)| number)
        .take(HOSTS)
        .collect();

    let mut drawing =
        Drawing { boxes: Vec::new(), spots: vec![None; graph.nodes.len()], width: MARGIN, height: 2.0 * MARGIN };
    let mut place = 0;
    for column in 0..=OUTSIDE {
        let hosts: Vec<usize> = shown.iter().copied().filter(|host| columns(host) == column).collect();
        let is_empty = if column == OUTSIDE { outside.is_empty() } else { hosts.is_empty() };
        if is_empty {
            continue;
        }
        let x = MARGIN + place as f64 * (BOX + GAP);
        let mut y = MARGIN;
        for host in hosts {
            let rows: Vec<usize> =
                (0..graph.nodes.len()).filter(|node| host_of(*node).is_some_and(|at| at == host)).collect();
            let height = ROW * (rows.len() + 1) as f64 + 6.0;
            for (row, node) in rows.into_iter().enumerate() {
                if let Some(spot) = drawing.spots.get_mut(node) {
                    *spot = Some(Spot { x, y: y + ROW * (row as f64 + 1.5), column: place });
                }
            }
            drawing.boxes.push(HostBox { host, x, y, height });
            y += height + SPACE;
        }
        if column == OUTSIDE {
            for node in &outside {
                if let Some(spot) = drawing.spots.get_mut(*node) {
                    *spot = Some(Spot { x, y: y + ROW / 2.0, column: place });
                }
                y += ROW + 8.0;
            }
        }
        drawing.height = drawing.height.max(y + MARGIN);
        place += 1;
        // Room for arrows that bend back.
        drawing.width = x + BOX + 60.0;
    }
    drawing
}

fn svg(topology: &Topology, graph: &Graph, drawing: &Drawing, words: Words, page: &mut Markup) {
    let title = words.pick("Hosts, their components, and who dials whom", "主机、组件以及连接关系");
    page.raw("<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"").text(title);
    page.raw("\"><svg class=\"map\" role=\"img\" viewBox=\"0 0 ").at(drawing.width).raw(" ").at(drawing.height);
    page.raw("\" width=\"").at(drawing.width).raw("\" height=\"").at(drawing.height).raw("\"><title>").text(title);
    page.raw("</title>");
    for shape in &drawing.boxes {
        let Some(host) = topology.hosts.get(shape.host) else { continue };
        page.raw("<g class=\"host\"><title>").text(&host.name).raw(": ").text(&host.roles.join(", "));
        page.raw(" ").text(&host.addresses.join(", ")).raw("</title><rect rx=\"6\" x=\"").at(shape.x).raw("\" y=\"");
        page.at(shape.y).raw("\" width=\"").at(BOX).raw("\" height=\"").at(shape.height).raw("\"/><text x=\"");
        page.at(shape.x + 8.0).raw("\" y=\"").at(shape.y + 16.0).raw("\">").short(&host.name, 24).raw("</text></g>");
    }
    for (node, spot) in graph.nodes.iter().zip(&drawing.spots) {
        let Some(spot) = spot else { continue };
        match node {
            Node::Component { host, name } => {
                let component = topology.hosts.get(*host);
                let component = component.and_then(|host| host.components.iter().find(|known| known.name == name));
                let is_down = component.is_some_and(|component| component.running == Some(false));
                page.raw(if is_down { "<g class=\"component down\">" } else { "<g class=\"component\">" });
                if let Some(component) = component {
                    page.raw("<title>").text(name).raw(" ").text(component.version.as_deref().unwrap_or_default());
                    page.raw(" ").text(&component.listens.join(", "));
                    if is_down {
                        page.raw(" ").text(words.pick("(does not run)", "（未运行）"));
                    }
                    page.raw("</title>");
                }
                page.raw("<rect rx=\"3\" x=\"").at(spot.x + 8.0).raw("\" y=\"").at(spot.y - 9.0).raw("\" width=\"");
                page.at(BOX - 16.0).raw("\" height=\"18\"/><text x=\"").at(spot.x + 14.0).raw("\" y=\"");
                page.at(spot.y + 4.0).raw("\">").short(name, 24).raw("</text></g>");
            }
            Node::Address(address) => {
                page.raw("<g class=\"address\"><title>").text(address).raw("</title><rect rx=\"11\" x=\"").at(spot.x);
                page.raw("\" y=\"").at(spot.y - 11.0).raw("\" width=\"").at(BOX).raw("\" height=\"22\"/><text x=\"");
                page.at(spot.x + 10.0).raw("\" y=\"").at(spot.y + 4.0).raw("\">").short(address, 26);
                page.raw("</text></g>");
            }
        }
    }
    let mut arrows: Vec<_> = graph.arrows.iter().collect();
    arrows.sort_by_key(|arrow| arrow.state != State::Broken);
    arrows.truncate(ARROWS);
    // What is broken is drawn last, above the others.
    for arrow in arrows.into_iter().rev() {
        let spot = |node: usize| drawing.spots.get(node).copied().flatten();
        let (Some(from), Some(to)) = (spot(arrow.from), spot(arrow.to)) else { continue };
        line(from, to, arrow.state, &arrow.label, page);
    }
    page.raw("</svg></div>");
}

/// An arrow: a curve from side to side, or a bow at the right within one column.
fn line(from: Spot, to: Spot, state: State, label: &str, page: &mut Markup) {
    let (inset, bow) = (8.0, 34.0);
    let forward = to.column > from.column;
    let (x1, x2, c1, c2) = if to.column == from.column {
        let right = from.x + BOX - inset;
        let reach = bow + ((to.y - from.y).abs() / 12.0).min(24.0);
        (right, right, right + reach, right + reach)
    } else if forward {
        let (x1, x2) = (from.x + BOX - inset, to.x);
        (x1, x2, x1 + (x2 - x1) / 2.0, x1 + (x2 - x1) / 2.0)
    } else {
        let (x1, x2) = (from.x, to.x + BOX - inset);
        (x1, x2, x1 + (x2 - x1) / 2.0, x1 + (x2 - x1) / 2.0)
    };
    let (y1, y2) = if from.y == to.y && x1 == x2 { (from.y - 5.0, to.y + 5.0) } else { (from.y, to.y) };
    page.raw(match state {
        State::Fits => "<g class=\"link fits\"><title>",
        State::Broken => "<g class=\"link broken\"><title>",
        State::Unknown => "<g class=\"link unknown\"><title>",
    });
    page.text(label).raw("</title><path d=\"M").at(x1).raw(" ").at(y1).raw("C").at(c1).raw(" ").at(y1).raw(" ");
    page.at(c2).raw(" ").at(y2).raw(" ").at(x2).raw(" ").at(y2).raw("\"/>");
    // The head, drawn by hand: a marker would not take the line's colour everywhere.
    let back = if forward { -6.0 } else { 6.0 };
    page.raw("<path class=\"head\" d=\"M").at(x2).raw(" ").at(y2).raw("L").at(x2 + back).raw(" ").at(y2 - 3.5);
    page.raw("L").at(x2 + back).raw(" ").at(y2 + 3.5).raw("Z\"/>");
    if state == State::Broken {
        // The middle of the curve.
        let x = (x1 + 3.0 * c1 + 3.0 * c2 + x2) / 8.0;
        let y = (y1 + y2) / 2.0;
        page.raw("<path class=\"cross\" d=\"M").at(x - 5.0).raw(" ").at(y - 5.0).raw("L").at(x + 5.0).raw(" ");
        page.at(y + 5.0).raw("M").at(x - 5.0).raw(" ").at(y + 5.0).raw("L").at(x + 5.0).raw(" ").at(y - 5.0);
        page.raw("\"/>");
    }
    page.raw("</g>");
}

/// The broken links in words, for those who do not see the drawing.
fn broken(topology: &Topology, words: Words, page: &mut Markup) {
    let broken: Vec<_> = topology.links.iter().filter(|link| link.state == State::Broken).collect();
    if broken.is_empty() {
        return;
    }
    page.raw("<h3>").text(words.pick("Broken links", "断开的连接")).raw("</h3><ul class=\"links\">");
    for link in broken.iter().take(LISTED) {
        page.raw("<li>").text(&link.client).raw(" @ ").text(&link.host).raw(" → <code>").text(&link.url);
        page.raw("</code>: ").text(&link.why.join("; ")).raw(" <small>").text(&link.configured_at.to_string());
        page.raw("</small></li>");
    }
    if broken.len() > LISTED {
        page.raw("<li>+ ").count(broken.len() - LISTED).raw("</li>");
    }
    page.raw("</ul>");
}
