//! Whom a satellite serves.

use crate::id::TeamId;
use crate::wire::registration::SatelliteType;

/// Whom a satellite serves, and who therefore owns its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Every team; the administrators own it.
    Global,
    /// One team.
    Team(TeamId),
}

impl Owner {
    /// The owner from a record's two columns. A team satellite without a team has no owner.
    pub fn of(satellite_type: SatelliteType, team: Option<TeamId>) -> Option<Owner> {
        match (satellite_type, team) {
            (SatelliteType::Global, None) => Some(Owner::Global),
            (SatelliteType::Team, Some(team)) => Some(Owner::Team(team)),
            _ => None,
        }
    }

    /// The satellite's type.
    pub fn satellite_type(&self) -> SatelliteType {
        match self {
            Owner::Global => SatelliteType::Global,
            Owner::Team(_) => SatelliteType::Team,
        }
    }

    /// The team, for a team satellite.
    pub fn team(&self) -> Option<&TeamId> {
        match self {
            Owner::Global => None,
            Owner::Team(team) => Some(team),
        }
    }

    /// Whether a satellite of this owner serves `team`.
    pub fn serves(&self, team: &TeamId) -> bool {
        match self {
            Owner::Global => true,
            Owner::Team(own) => own == team,
        }
    }
}
