//! Generated from `wit/`: one module per exported interface, one set of shared types and one log.
//!
//! Per interface and not per world, because every world exports `metadata`, and the export macros of one interface can
//! exist only once in a crate. A plugin's macro exports `metadata` and the interface of its world; the linker merges
//! the two into exactly that world.

pub mod metadata {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package altyn:sdk; world describing { import altyn:billing/log@0.1.0; export altyn:billing/metadata@0.1.0; }",
        world: "altyn:sdk/describing",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord],
        generate_unused_types: true,
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_metadata",
        default_bindings_module: "altyn_plugin::macros::metadata",
    });
}

pub mod proration {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package altyn:sdk; world prorating { import altyn:billing/log@0.1.0; export altyn:billing/proration@0.1.0; }",
        world: "altyn:sdk/prorating",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord],
        with: {
            "altyn:billing/types@0.1.0": crate::bindings::metadata::altyn::billing::types,
            "altyn:billing/log@0.1.0": crate::bindings::metadata::altyn::billing::log,
        },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_proration",
        default_bindings_module: "altyn_plugin::macros::proration",
    });
}

pub mod tax {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package altyn:sdk; world taxing { import altyn:billing/log@0.1.0; export altyn:billing/tax@0.1.0; }",
        world: "altyn:sdk/taxing",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord],
        with: {
            "altyn:billing/types@0.1.0": crate::bindings::metadata::altyn::billing::types,
            "altyn:billing/log@0.1.0": crate::bindings::metadata::altyn::billing::log,
        },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_tax",
        default_bindings_module: "altyn_plugin::macros::tax",
    });
}

pub mod numbering {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package altyn:sdk; world numbers { import altyn:billing/log@0.1.0; export altyn:billing/numbering@0.1.0; }",
        world: "altyn:sdk/numbers",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord],
        with: {
            "altyn:billing/types@0.1.0": crate::bindings::metadata::altyn::billing::types,
            "altyn:billing/log@0.1.0": crate::bindings::metadata::altyn::billing::log,
        },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_numbering",
        default_bindings_module: "altyn_plugin::macros::numbering",
    });
}

pub mod gateway {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package altyn:sdk; world paying { import altyn:billing/log@0.1.0; import altyn:billing/vault@0.1.0; export altyn:billing/gateway@0.1.0; }",
        world: "altyn:sdk/paying",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord],
        with: {
            "altyn:billing/types@0.1.0": crate::bindings::metadata::altyn::billing::types,
            "altyn:billing/log@0.1.0": crate::bindings::metadata::altyn::billing::log,
        },
        generate_unused_types: true,
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_gateway",
        default_bindings_module: "altyn_plugin::macros::gateway",
    });
}
