//! The part of the storage contract that is about client etiquette: what the clients of apps are ordered to do. Written
//! once for every backend.

use super::audit::note;
use super::backend::Backend;
use super::directory::changed;
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError};
use crate::model::{
    AppId, By, Concerning, EnvironmentId, MOST_ORDERS, Millis, NewOrder, Order, OrderId, Orders, Quiet, Share,
    StandingOrder, VersionScope, parse_names,
};

/// Orders to clients. Like all of the store, its methods block.
pub trait Etiquette {
    /// All orders to the clients of an app, in the order in which they were given, those that are over included.
    fn orders(&self, app: AppId) -> Result<Orders>;

    /// Gives an order, in place of the one for the same environment and versions.
    /// [`StoreError::NoRoom`] where there are as many as there may be, [`StoreError::NotFound`] where the environment is
    /// none of the app.
    fn give_order(&self, order: &NewOrder, by: &By) -> Result<OrderId>;

    /// Lifts an order of that app. [`StoreError::NotFound`] where it has none of that number.
    fn lift_order(&self, app: AppId, order: OrderId, by: &By) -> Result<()>;
}

impl<B: Backend> Etiquette for B {
    fn orders(&self, app: AppId) -> Result<Orders> {
        self.look(|db| orders(db, app))
    }

    fn give_order(&self, order: &NewOrder, by: &By) -> Result<OrderId> {
        self.change(|db| give(db, order, by))
    }

    fn lift_order(&self, app: AppId, order: OrderId, by: &By) -> Result<()> {
        self.change(|db| lift(db, app, order, by))
    }
}

const COLUMNS: &str = "id, env_id, versions, version, sample, names, flush_secs, quiet, quiet_till, created_at, member";

/// All of an app. One of a kind that this binary does not know orders nothing here.
pub(super) fn orders(db: &dyn Sql, app: AppId) -> Result<Orders> {
    let sql = format!("SELECT {COLUMNS} FROM client_orders WHERE app_id = $1 ORDER BY id");
    Ok(Orders(db.rows(&sql, &[app.0.into()])?.iter().filter_map(read).collect()))
}

fn give(db: &dyn Sql, new: &NewOrder, by: &By) -> Result<OrderId> {
    changed(db)?;
    let place = place(db, new.app, new.environment)?;
    let (environment, order) = (new.environment.map(|environment| environment.0), &new.order);
    let sql =
        "DELETE FROM client_orders WHERE app_id = $1 AND coalesce(env_id, 0) = $2 AND versions = $3 AND version = $4";
    let same =
        [new.app.0.into(), environment.unwrap_or(0).into(), new.versions.kind().into(), new.versions.version().into()];
    db.run(sql, &same)?;
    let many = db.value("SELECT count(*) FROM client_orders WHERE app_id = $1", &[new.app.0.into()])?.int();
    if usize::try_from(many).unwrap_or(usize::MAX) >= MOST_ORDERS {
        return Err(StoreError::NoRoom("order"));
    }
    let (quiet, until): (Option<&str>, Option<i64>) = match order.quiet {
        None => (None, None),
        Some(Quiet::Paused(until)) => (Some("paused"), until.map(|until| until.0)),
        Some(Quiet::Stopped) => (Some("stopped"), None),
    };
    let names = order.listed().join("\n");
    let id = db.value(
        "INSERT INTO client_orders (app_id, env_id, versions, version, sample, names, flush_secs, quiet, quiet_till, \
         member, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
        &[
            new.app.0.into(),
            environment.into(),
            new.versions.kind().into(),
            new.versions.version().into(),
            order.sampling.map(|share| i64::from(share.parts())).into(),
            names.as_str().into(),
            order.flush_interval.map(i64::from).into(),
            quiet.into(),
            until.into(),
            by.member.as_str().into(),
            by.at.0.into(),
        ],
    )?;
    let subject = subject(&place, &new.versions);
    note(db, by, Concerning::App(new.app), ("etiquette.ordered", &subject, &told(order)))?;
    Ok(OrderId(id.int()))
}

fn lift(db: &dyn Sql, app: AppId, order: OrderId, by: &By) -> Result<()> {
    changed(db)?;
    let sql = format!("DELETE FROM client_orders WHERE id = $1 AND app_id = $2 RETURNING {COLUMNS}");
    let row = db.row(&sql, &[order.0.into(), app.0.into()])?.ok_or(StoreError::NotFound("order"))?;
    let (of, was) = match read(&row) {
        Some(gone) => (subject(&place(db, app, gone.environment)?, &gone.versions), told(&gone.order)),
        None => (row.text(2), String::new()),
    };
    note(db, by, Concerning::App(app), ("etiquette.lifted", &of, &was))
}

/// What an environment of an app is called, or all of them.
fn place(db: &dyn Sql, app: AppId, environment: Option<EnvironmentId>) -> Result<String> {
    let Some(environment) = environment else { return Ok("every environment".to_owned()) };
    let sql = "SELECT slug FROM environments WHERE id = $1 AND app_id = $2";
    let row = db.row(sql, &[environment.0.into(), app.0.into()])?.ok_or(StoreError::NotFound("environment"))?;
    Ok(row.text(0))
}

fn subject(place: &str, versions: &VersionScope) -> String {
    format!("{versions} in {place}")
}

/// As the account of changes tells it.
fn told(order: &Order) -> String {
    order.told(|at| at.timestamp().to_string()).join("; ")
}

fn read(row: &Row) -> Option<StandingOrder> {
    let small = |column: usize| row.some_int(column).and_then(|number| u32::try_from(number).ok());
    let quiet = match row.some_text(7).as_deref() {
        None => None,
        Some("paused") => Some(Quiet::Paused(row.some_int(8).map(Millis))),
        Some("stopped") => Some(Quiet::Stopped),
        Some(_) => return None,
    };
    let sampling = match row.0[4] {
        Cell::Null => None,
        _ => Some(Share::of(u16::try_from(row.int(4)).ok()?)?),
    };
    Some(StandingOrder {
        id: OrderId(row.int(0)),
        environment: row.some_int(1).map(EnvironmentId),
        versions: VersionScope::parse(&row.text(2), &row.text(3)).ok()?,
        order: Order { sampling, names: parse_names(row.text(5).lines()).ok()?, flush_interval: small(6), quiet },
        since: Millis(row.int(9)),
        member: row.text(10),
    })
}
