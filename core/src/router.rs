//! The routers: who may call what, the tool catalogue and its search, the meta tools.
