-- SQL that does not quote the names of the tables finds them by their folded names, also to change
-- rows: each of these views takes INSERT, UPDATE and DELETE for its table. A step that adds a column
-- makes the table's view again.

CREATE VIEW teammembers AS SELECT * FROM "teamMembers";
CREATE VIEW accesstokens AS SELECT * FROM "accessTokens";
CREATE VIEW satelliteretiredkeys AS SELECT * FROM "satelliteRetiredKeys";
CREATE VIEW satelliteregistrationtokens AS SELECT * FROM "satelliteRegistrationTokens";
CREATE VIEW satellitecommands AS SELECT * FROM "satelliteCommands";
CREATE VIEW backendsecrets AS SELECT * FROM "backendSecrets";
CREATE VIEW mcpservers AS SELECT * FROM "mcpServers";
CREATE VIEW mcpserverinstallations AS SELECT * FROM "mcpServerInstallations";
CREATE VIEW mcpserverinstances AS SELECT * FROM "mcpServerInstances";
CREATE VIEW mcpuserconfigurations AS SELECT * FROM "mcpUserConfigurations";
CREATE VIEW mcptoolmetadata AS SELECT * FROM "mcpToolMetadata";
CREATE VIEW mcpoauthtokens AS SELECT * FROM "mcpOauthTokens";
CREATE VIEW mcpoauthflows AS SELECT * FROM "mcpOauthFlows";
CREATE VIEW mcpoauthclients AS SELECT * FROM "mcpOauthClients";
CREATE VIEW satelliteprocesses AS SELECT * FROM "satelliteProcesses";
CREATE VIEW satelliteusagelogs AS SELECT * FROM "satelliteUsageLogs";
CREATE VIEW satelliteheartbeats AS SELECT * FROM "satelliteHeartbeats";
CREATE VIEW satelliteevents AS SELECT * FROM "satelliteEvents";
CREATE VIEW mcpserverlogs AS SELECT * FROM "mcpServerLogs";
CREATE VIEW mcprequestlogs AS SELECT * FROM "mcpRequestLogs";
CREATE VIEW mcpclientactivity AS SELECT * FROM "mcpClientActivity";
